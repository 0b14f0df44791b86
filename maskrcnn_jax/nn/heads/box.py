"""The box head: what is in each roi, and where exactly (Fast R-CNN, section 2.1)."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype

from maskrcnn_jax.nn.conv import ConvNorm, he_normal, uniform
from maskrcnn_jax.nn.norm import Norm, make_norm
from maskrcnn_jax.nn.precision import summed_in_float32, weights_in_float32


class BoxHead(nnx.Module):
    """Convolutions if any, fully connected layers, then class logits and one box per class.

    A norm follows each convolution (`norm`) and each fully connected layer (`fc_norm`), which then has no bias.
    """

    def __init__(
        self,
        channels: int,
        pool_size: int,
        convs: int,
        fcs: tuple[int, ...],
        classes: int,
        boxes: int,
        *,
        norm: Norm,
        fc_norm: Norm,
        eps: float,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        self.convs = nnx.List(
            ConvNorm(channels, channels, 3, norm=norm, eps=eps, init=he_normal, dtype=dtype, rngs=rngs)
            for _ in range(convs)
        )
        widths = (channels * pool_size**2, *fcs)
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
        self.logits = linear(widths[-1], classes, kernel_init=initializers.normal(0.01))
        self.deltas = linear(widths[-1], boxes * 4, kernel_init=initializers.normal(0.001))

    def __call__(self, roi_features: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`[b, n, s, s, f]` to logits `[b, n, classes]` and deltas `[b, n, boxes, 4]`, float32."""
        batch, count = roi_features.shape[:2]
        x = roi_features.reshape(batch * count, *roi_features.shape[2:])
        for conv in self.convs:
            x = nnx.relu(conv(x))
        x = x.reshape(batch * count, -1)
        for fc, norm in zip(self.fcs, self.norms, strict=True):
            x = nnx.relu(norm(fc(x)))
        logits = self.logits(x).reshape(batch, count, -1)
        deltas = self.deltas(x).reshape(batch, count, -1, 4)
        return logits.astype(jnp.float32), deltas.astype(jnp.float32)
