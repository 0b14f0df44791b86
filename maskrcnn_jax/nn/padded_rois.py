"""Heads over slots, some of which are padding."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool

from maskrcnn_jax.distributed.sharding import shard_over_images
from maskrcnn_jax.messages.config_error import require
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.nn.winograd import IN_TRAINING, uses_winograd

SLOTS_AT_ONCE = 32
"""Slots, of all images of a device, that are computed or skipped together: enough for matrix products at full speed,
and few enough for a CPU's cache."""


def apply_to_valid(head: nnx.Module, x: Array, valid: Bool[Array, "b r"]) -> Array:
    """`head(x)`, without the work for padding where a device can leave it out.

    GPUs and TPUs are fastest when they compute all slots at once. A CPU takes some slots after the other and skips
    those in which no image has anything: a quarter of the slots filled is a quarter of the work, forwards and back.
    Heads whose convolutions are too small to be matrix products there are computed at once everywhere.

    Args:
        head: from `[b, r, …]` to `[b, r, …]`, each slot by itself. A head with state (trained batch norms, random
            numbers, kept activations) is called once for all.
        x: `[b, r, …]`.
        valid: the slots that count; in each image the first ones, or little is saved.

    Returns:
        `[b, r, …]`; finite in slots that do not count: what the head makes of them, or zero.

    Raises:
        ConfigError: the head returns another shape.
    """
    # XLA's own convolutions have one thread in a loop: with them a training of small images took three times as long.
    if _changes(head) or not uses_winograd((SLOTS_AT_ONCE, *x.shape[2:]), x.shape[-1], x.dtype, IN_TRAINING):
        return _applied(head, x)
    structure, *weights = flatten(head)

    def all_at_once(weights, x, _):
        return _applied(unflatten(structure, *weights), x)

    def group_by_group(weights, x, valid):
        images = x.shape[0] if isinstance(x.shape[0], int) else 1  # a symbol where any number can be exported
        count = math.ceil(x.shape[1] / max(1, SLOTS_AT_ONCE // images))
        size = math.ceil(x.shape[1] / count)

        def compute(some):
            return _applied(unflatten(structure, *weights), some)

        def skip(some):
            out = jax.eval_shape(compute, some)
            return jnp.zeros(out.shape, out.dtype)

        def group(_, part):
            some, counts = part
            return None, jax.lax.cond(jnp.any(counts), compute, skip, some)

        groups = jax.lax.scan(group, None, (_cut(x, count, size), _cut(valid, count, size)))[1]
        return jnp.moveaxis(groups, 0, 1).reshape(x.shape[0], count * size, *groups.shape[3:])[:, : x.shape[1]]

    on_cpu = partial(shard_over_images, group_by_group)
    return jax.lax.platform_dependent(weights, x, valid, cpu=on_cpu, default=all_at_once)


def _applied(head: Any, x: Array) -> Array:
    output = head(x)
    remedy = f"must begin with {tuple(x.shape[:2])}, images and RoIs, as its input does"
    require(output.shape[:2] == x.shape[:2], f"shape of the output of {type(head).__name__}", output.shape, remedy)
    return output


def _changes(head: nnx.Module) -> bool:
    trained = any(
        isinstance(part, nnx.BatchNorm) and not part.use_running_average for _, part in nnx.iter_modules(head)
    )
    return trained or bool(nnx.state(head, (nnx.RngState, nnx.Intermediate)))


def _cut(x: Array, count: int, size: int) -> Array:
    """`[b, r, …]` to `[count, b, size, …]`, padded with zeros."""
    slack = jnp.zeros((x.shape[0], count * size - x.shape[1], *x.shape[2:]), x.dtype)
    return jnp.moveaxis(jnp.concatenate([x, slack], axis=1).reshape(x.shape[0], count, size, *x.shape[2:]), 1, 0)
