"""The mask head: a small FCN on each roi (Mask R-CNN, figure 4 right)."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype

from maskrcnn_jax.extension import Head
from maskrcnn_jax.masks.paste import PasteRule
from maskrcnn_jax.messages.config_error import require, require_not_negative, require_positive
from maskrcnn_jax.nn.conv import Conv, ConvNorm, he_normal
from maskrcnn_jax.nn.norm import Norm, require_groups
from maskrcnn_jax.structs import Detections, HeadOutput


@dataclass(frozen=True)
class MaskHead(Head):
    """A small FCN that predicts the mask of each RoI (Mask R-CNN, figure 4 right).

    A fork that replaces the module derives from it.
    """

    pool_size: int = 14
    convs: int = 4
    channels: int = 256
    norm: Norm = "none"
    norm_eps: float = 1e-5
    paste: PasteRule = "exact"
    """Where a mask lies in the image: exactly on its box (Detectron2); its box grown by one mask cell and cut to whole
    pixels (torchvision); or its box rounded to whole pixels (Matterport)."""
    class_agnostic: bool = False
    """One mask for all classes (Mask R-CNN, table 2b) instead of one per class."""

    name: ClassVar = "mask"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_positive(f"{where}.pool_size", self.pool_size)
        require_not_negative(f"{where}.convs", self.convs)
        require_positive(f"{where}.channels", self.channels)
        require_not_negative(f"{where}.norm_eps", self.norm_eps)
        if self.norm == "group":
            require_groups(f"{where}.channels", self.channels)

    def build(self, channels: int, classes: int, outputs: int, *, dtype: Dtype, rngs: nnx.Rngs) -> nnx.Module:
        """Makes the module: RoI features to logits `[b, r, m, m, C or 1]`, float32."""
        return MaskHeadModule(self, channels, classes, outputs, dtype=dtype, rngs=rngs)

    def check_output(self, output: jax.Array, classes: int) -> None:
        """Checks the number of masks; see `Head.check_output`."""
        masks, wanted = output.shape[-1], 1 if self.class_agnostic else classes
        remedy = f"the mask head predicts {masks} masks per roi, not {wanted}"
        require(masks == wanted, "model.mask_head.class_agnostic", self.class_agnostic, remedy)

    def detect(self, detections: Detections, output: HeadOutput) -> Detections:
        """Gives each detection the probability mask of its own class."""
        own = own_class(output.output, output.rois.labels)
        return detections._replace(masks=jax.nn.sigmoid(own))


def own_class(values: jax.Array, labels: jax.Array) -> jax.Array:
    """The part of an output per class that belongs to each RoI's own class.

    Args:
        values: `[…, C]`, or `[…, 1]` of a class-agnostic head; leading axes those of the labels.
        labels: `[b, r]` in `[0, C]`; background gets the values of class 0.

    Returns:
        `[…]`.
    """
    if values.shape[-1] == 1:
        return values[..., 0]
    own = jnp.where(labels < values.shape[-1], labels, 0)
    own = own.reshape(*own.shape, *[1] * (values.ndim - own.ndim))
    return jnp.take_along_axis(values, own, axis=-1)[..., 0]


class Upsample(nnx.Module):
    """2×2 transposed convolution at stride 2: every cell becomes four, each by its own matrix."""

    def __init__(self, inputs: int, outputs: int, *, dtype: Dtype, rngs: nnx.Rngs):
        # The four matrices stand side by side in one 1×1 convolution, so that a cell's inputs are read once.
        self.conv = Conv(inputs, 4 * outputs, 1, init=he_normal, bias=False, dtype=dtype, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, _ = x.shape
        x = self.conv(x).reshape(batch, height, width, 2, 2, -1)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, -1)
        # In float32: see `weights_in_float32`.
        return (x + self.bias[...].reshape(1, 1, 1, -1)).astype(x.dtype)


class MaskHeadModule(nnx.Module):
    """3×3 convolutions, upsampling by two, and one mask per class."""

    def __init__(self, config: MaskHead, inputs: int, classes: int, outputs: int, *, dtype: Dtype, rngs: nnx.Rngs):
        self.masks = 1 if config.class_agnostic else classes
        norm, eps = config.norm, config.norm_eps
        widths = (inputs, *[config.channels] * config.convs)
        self.convs = nnx.List(
            ConvNorm(widths[i], widths[i + 1], 3, norm=norm, eps=eps, dtype=dtype, rngs=rngs)
            for i in range(config.convs)
        )
        self.upsample = Upsample(widths[-1], config.channels, dtype=dtype, rngs=rngs)
        computed = 1 if config.class_agnostic else outputs
        self.logits = Conv(config.channels, computed, 1, init=initializers.normal(0.001), dtype=dtype, rngs=rngs)

    def __call__(self, roi_features: jax.Array) -> jax.Array:
        """`[b, r, s, s, f]` to logits `[b, r, 2s, 2s, C or 1]`, float32."""
        batch, count = roi_features.shape[:2]
        x = roi_features.reshape(batch * count, *roi_features.shape[2:])
        for conv in self.convs:
            x = nnx.relu(conv(x))
        x = self.logits(nnx.relu(self.upsample(x)))
        return x.reshape(batch, count, *x.shape[1:])[..., : self.masks].astype(jnp.float32)
