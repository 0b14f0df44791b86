"""The box head: what is in each roi, and where exactly (Fast R-CNN, section 2.1)."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype

from maskrcnn_jax.extension import Head
from maskrcnn_jax.messages.config_error import require, require_not_negative, require_positive
from maskrcnn_jax.nn.conv import ConvNorm, he_normal, uniform
from maskrcnn_jax.nn.norm import Norm, make_norm, require_groups
from maskrcnn_jax.nn.precision import summed_in_float32, weights_in_float32
from maskrcnn_jax.structs import BoxOutput


@dataclass(frozen=True)
class BoxHead(Head):
    """Classification and box regression of each RoI.

    `convs=4, fcs=(1024,), norm="group"` is Detectron2's head of four convolutions and one fully connected layer. A fork
    that replaces the module derives from this class; prediction and losses use `box_weights` and `class_agnostic`.
    """

    pool_size: int = 7
    convs: int = 0
    """3×3 convolutions before the fully connected layers."""
    fcs: tuple[int, ...] = (1024, 1024)
    """Widths of the fully connected layers."""
    norm: Norm = "none"
    """Norm after each of the head's convolutions."""
    fc_norm: Norm = "none"
    """Norm after each of the fully connected layers (Matterport)."""
    norm_eps: float = 1e-5
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    class_agnostic: bool = False
    """One box for all classes (R-FCN, Cascade R-CNN) instead of one per class."""

    name: ClassVar = "box"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_positive(f"{where}.pool_size", self.pool_size)
        require_not_negative(f"{where}.convs", self.convs)
        require_positive(f"{where}.fcs", *self.fcs)
        require_not_negative(f"{where}.norm_eps", self.norm_eps)
        require_positive(f"{where}.box_weights", *self.box_weights)
        if self.fc_norm == "group":
            for width in self.fcs:
                require_groups(f"{where}.fcs", width)

    def build(self, channels: int, classes: int, outputs: int, *, dtype: Dtype, rngs: nnx.Rngs) -> nnx.Module:
        """Makes the module: RoI features `[b, n, pool_size, pool_size, channels]` to a `BoxOutput` or such a pair.

        Logits `[b, n, C + 1]` have the background last; deltas are `[b, n, C, 4]`, or `[b, n, 1, 4]` if
        `class_agnostic`. Both are float32. See `Head.build` for the arguments.
        """
        return BoxHeadModule(self, channels, classes, outputs, dtype=dtype, rngs=rngs)

    def check_output(self, output: BoxOutput, classes: int) -> None:
        """Checks the number of logits and boxes; see `Head.check_output`."""
        logits, boxes, wanted = output.logits.shape[-1], output.deltas.shape[-2], 1 if self.class_agnostic else classes
        remedy = f"the box head predicts {logits} class logits per roi, not one more than there are classes"
        require(logits == classes + 1, "model.num_classes", classes, remedy)
        remedy = f"the box head predicts {boxes} boxes per roi, not {wanted}"
        require(boxes == wanted, "model.box_head.class_agnostic", self.class_agnostic, remedy)


class BoxHeadModule(nnx.Module):
    """Convolutions if any, fully connected layers, then class logits and boxes.

    A norm follows each convolution (`norm`) and each fully connected layer (`fc_norm`), which then has no bias.
    """

    def __init__(self, config: BoxHead, channels: int, classes: int, outputs: int, *, dtype: Dtype, rngs: nnx.Rngs):
        self.boxes = 1 if config.class_agnostic else classes
        computed = 1 if config.class_agnostic else outputs
        norm, fc_norm, eps, fcs = config.norm, config.fc_norm, config.norm_eps, config.fcs
        self.convs = nnx.List(
            ConvNorm(channels, channels, 3, norm=norm, eps=eps, init=he_normal, dtype=dtype, rngs=rngs)
            for _ in range(config.convs)
        )
        widths = (channels * config.pool_size**2, *fcs)
        linear = functools.partial(
            nnx.Linear,
            promote_dtype=weights_in_float32,
            dot_general=summed_in_float32(jax.lax.dot_general),
            dtype=dtype,
            rngs=rngs,
        )
        self.fcs = nnx.List(
            linear(widths[i], widths[i + 1], use_bias=fc_norm == "none", kernel_init=uniform) for i in range(len(fcs))
        )
        self.norms = nnx.List(make_norm(fc_norm, width, eps=eps, dtype=dtype, rngs=rngs) for width in fcs)
        self.logits = linear(widths[-1], classes + 1, kernel_init=initializers.normal(0.01))
        self.deltas = linear(widths[-1], computed * 4, kernel_init=initializers.normal(0.001))

    def __call__(self, roi_features: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`[b, n, s, s, f]` to logits `[b, n, classes]` and deltas `[b, n, C or 1, 4]`, float32."""
        batch, count = roi_features.shape[:2]
        x = roi_features.reshape(batch * count, *roi_features.shape[2:])
        for conv in self.convs:
            x = nnx.relu(conv(x))
        x = x.reshape(batch * count, -1)
        for fc, norm in zip(self.fcs, self.norms, strict=True):
            x = nnx.relu(norm(fc(x)))
        logits = self.logits(x).reshape(batch, count, -1)
        deltas = self.deltas(x).reshape(batch, count, -1, 4)[:, :, : self.boxes]
        return logits.astype(jnp.float32), deltas.astype(jnp.float32)
