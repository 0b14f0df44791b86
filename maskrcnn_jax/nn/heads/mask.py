"""The mask head: a small FCN on each roi (Mask R-CNN, figure 4 right)."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype

from maskrcnn_jax.nn.conv import Conv, ConvNorm, he_normal
from maskrcnn_jax.nn.norm import Norm


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


class MaskHead(nnx.Module):
    """3×3 convolutions, upsampling by two, and one mask per class."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        convs: int,
        classes: int,
        *,
        norm: Norm,
        eps: float,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        widths = (inputs, *[channels] * convs)
        self.convs = nnx.List(
            ConvNorm(widths[i], widths[i + 1], 3, norm=norm, eps=eps, dtype=dtype, rngs=rngs) for i in range(convs)
        )
        self.upsample = Upsample(widths[-1], channels, dtype=dtype, rngs=rngs)
        self.logits = Conv(channels, classes, 1, init=initializers.normal(0.001), dtype=dtype, rngs=rngs)

    def __call__(self, roi_features: jax.Array) -> jax.Array:
        """`[b, r, s, s, f]` to logits `[b, r, 2s, 2s, classes]`, float32."""
        batch, count = roi_features.shape[:2]
        x = roi_features.reshape(batch * count, *roi_features.shape[2:])
        for conv in self.convs:
            x = nnx.relu(conv(x))
        x = self.logits(nnx.relu(self.upsample(x)))
        return x.reshape(batch, count, *x.shape[1:]).astype(jnp.float32)
