"""Feature pyramid network (Lin et al. 2017): the top-down half of the backbone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype

from maskrcnn_jax.extension import Neck
from maskrcnn_jax.messages.config_error import require_not_negative, require_positive
from maskrcnn_jax.nn.conv import ConvNorm, uniform
from maskrcnn_jax.nn.norm import Norm, require_groups


@dataclass(frozen=True)
class FPN(Neck):
    """Feature pyramid (Lin et al. 2017): P2 … P5 by top-down merging, P6 by subsampling P5."""

    channels: int = 256
    norm: Norm = "none"
    norm_eps: float = 1e-5
    p6: Literal["subsample", "conv"] = "subsample"
    """Every second cell of P5, or a 3×3 convolution at stride 2 (TensorFlow Model Garden)."""

    def strides(self, inputs: Sequence[int]) -> tuple[int, ...]:
        """Of the levels: those of the backbone, and twice the last for P6."""
        return (*inputs, 2 * inputs[-1])

    def roi_levels(self, inputs: Sequence[int]) -> int:
        """All levels but P6."""
        return len(inputs)

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_positive(f"{where}.channels", self.channels)
        require_not_negative(f"{where}.norm_eps", self.norm_eps)
        if self.norm == "group":
            require_groups(f"{where}.channels", self.channels)

    def build(self, inputs: tuple[int, ...], *, dtype: Dtype, rngs: nnx.Rngs) -> "FPNModule":
        """Makes the module; see `Neck.build`."""
        return FPNModule(self, inputs, dtype=dtype, rngs=rngs)


def upsample(x: jax.Array, height: int, width: int) -> jax.Array:
    """Repeats each cell of `[b, h, w, c]` to a grid of `height` × `width`, at most twice as fine."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)[:, :height, :width]


class FPNModule(nnx.Module):
    """C2 … C5 to P2 … P6, all with the same number of channels."""

    def __init__(self, config: FPN, inputs: tuple[int, ...], *, dtype: Dtype, rngs: nnx.Rngs):
        channels, norm, eps = config.channels, config.norm, config.norm_eps
        self.lateral = nnx.List(
            ConvNorm(c, channels, 1, norm=norm, eps=eps, init=uniform, dtype=dtype, rngs=rngs) for c in inputs
        )
        self.output = nnx.List(
            ConvNorm(channels, channels, 3, norm=norm, eps=eps, init=uniform, dtype=dtype, rngs=rngs) for _ in inputs
        )
        self.extra = nnx.data(
            ConvNorm(channels, channels, 3, stride=2, norm=norm, eps=eps, init=uniform, dtype=dtype, rngs=rngs)
            if config.p6 == "conv"
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
