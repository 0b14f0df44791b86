"""Feature pyramid network (Lin et al. 2017): the top-down half of the backbone."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype

from maskrcnn_jax.nn.conv import ConvNorm, uniform
from maskrcnn_jax.nn.norm import Norm


def upsample(x: jax.Array, height: int, width: int) -> jax.Array:
    """Repeats each cell of `[b, h, w, c]` to a grid of `height` × `width`, at most twice as fine."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)[:, :height, :width]


class FPN(nnx.Module):
    """C2 … C5 to P2 … P6, all with the same number of channels.

    P6 takes every second cell of P5, or is a 3×3 convolution of it at stride 2.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        channels: int,
        *,
        p6: Literal["subsample", "conv"],
        norm: Norm,
        eps: float,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        self.lateral = nnx.List(
            ConvNorm(c, channels, 1, norm=norm, eps=eps, init=uniform, dtype=dtype, rngs=rngs) for c in inputs
        )
        self.output = nnx.List(
            ConvNorm(channels, channels, 3, norm=norm, eps=eps, init=uniform, dtype=dtype, rngs=rngs) for _ in inputs
        )
        self.extra = nnx.data(
            ConvNorm(channels, channels, 3, stride=2, norm=norm, eps=eps, init=uniform, dtype=dtype, rngs=rngs)
            if p6 == "conv"
            else None
        )

    def __call__(self, features: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        merged = [lateral(c) for lateral, c in zip(self.lateral, features, strict=True)]
        for i in range(len(merged) - 1, 0, -1):
            _, height, width, _ = merged[i - 1].shape
            merged[i - 1] = merged[i - 1] + upsample(merged[i], height, width)
        pyramid = [output(m) for output, m in zip(self.output, merged, strict=True)]
        p5 = pyramid[-1]
        return (*pyramid, p5[:, ::2, ::2] if self.extra is None else self.extra(p5))
