"""Norm layers: frozen batch norm, batch norm, group norm, none."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import Dtype

from maskrcnn_jax.messages.config_error import require

Norm = Literal["frozen_batch", "batch", "group", "none"]
Layer = Callable[[jax.Array], jax.Array]
GROUPS = 32
"""Groups of a group norm, where there are as many channels."""


class FrozenStatistic(nnx.Variable):
    """A number that came with pretrained weights and never changes: not an `nnx.Param`, so nothing trains it."""


class FrozenBatchNorm(nnx.Module):
    """Batch norm whose four vectors are constants: an affine map per channel, in float32.

    Source: Detectron2 `FrozenBatchNorm2d`.
    """

    def __init__(self, channels: int, *, eps: float):
        self.scale = FrozenStatistic(jnp.ones(channels))
        self.bias = FrozenStatistic(jnp.zeros(channels))
        self.mean = FrozenStatistic(jnp.zeros(channels))
        self.var = FrozenStatistic(jnp.ones(channels))
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.scale[...] * jax.lax.rsqrt(self.var[...] + self.eps)
        bias = self.bias[...] - self.mean[...] * scale
        per_channel = (*[1] * (x.ndim - 1), -1)
        return (x * scale.reshape(per_channel) + bias.reshape(per_channel)).astype(x.dtype)


class BatchNorm(nnx.BatchNorm):
    """Batch norm in float32, returned in the type of its input.

    It uses its running statistics; `nnx.view(model, use_running_average=False)` makes it use and update them with the
    batch's. The mean is taken over the global batch, so under a mesh the statistics are those of all devices.
    """

    def __init__(self, channels: int, *, eps: float, rngs: nnx.Rngs):
        super().__init__(channels, use_running_average=True, momentum=0.9, epsilon=eps, dtype=jnp.float32, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        out, statistics = _normalized(nnx.BatchNorm.__call__, *nnx.split(self), x)
        if not self.use_running_average:
            nnx.update(self, statistics)
        return out.astype(x.dtype)


# Jitted, so that all layers of one shape are traced as one.
@functools.partial(jax.jit, static_argnums=(0, 1))
def _normalized(call: Callable, structure: Any, weights: Any, x: jax.Array) -> tuple[jax.Array, Any]:
    """`x` normalized by `call`, and the running statistics of the layer after it, if it has any."""
    norm = nnx.merge(structure, weights)
    return call(norm, x), nnx.state(norm, nnx.BatchStat)


class GroupNorm(nnx.GroupNorm):
    """Group norm (Wu and He 2018) of 32 groups, or one per channel if there are fewer channels."""

    def __init__(self, channels: int, *, eps: float, dtype: Dtype, rngs: nnx.Rngs):
        super().__init__(channels, num_groups=min(GROUPS, channels), epsilon=eps, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        return _normalized(nnx.GroupNorm.__call__, *nnx.split(self), x)[0]


def require_groups(where: str, channels: int) -> None:
    """Raises ConfigError unless a group norm can divide the channels."""
    fits = channels < GROUPS or channels % GROUPS == 0
    require(fits, where, channels, f"must be below {GROUPS} or a multiple of it, for group norm")


class Identity(nnx.Module):
    """No norm."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


def make_norm(kind: Norm, channels: int, *, eps: float, dtype: Dtype, rngs: nnx.Rngs) -> Layer:
    """The norm layer of a given kind for arrays `[b, …, channels]`."""
    makers: dict[Norm, Callable[[], Layer]] = {
        "frozen_batch": functools.partial(FrozenBatchNorm, channels, eps=eps),
        "batch": functools.partial(BatchNorm, channels, eps=eps, rngs=rngs),
        "group": functools.partial(GroupNorm, channels, eps=eps, dtype=dtype, rngs=rngs),
        "none": Identity,
    }
    return makers[kind]()
