"""Non-maximum suppression with fixed shapes."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops

TILE = 512
"""Boxes that are settled together, at most: their overlaps fit a CPU's cache, and few tiles are few loops on a GPU."""


def nms(
    boxes: Float[Array, "k 4"], valid: Bool[Array, " k"], iou_threshold: float, group: Int[Array, " k"] | None = None
) -> Bool[Array, " k"]:
    """Which boxes greedy suppression keeps: going from the best to the worst, all that no kept better one suppresses.

    Tile after tile: what the tiles before keep suppresses first, then the boxes of the tile each other.

    Args:
        boxes: `[k, 4]` pixels, **best first**.
        valid: boxes that take part.
        iou_threshold: overlap above which (strictly) the worse box goes.
        group: boxes suppress each other only within a group (a class); None for one group.

    Returns:
        `[k]` bool; False where not `valid`.

    Source: Fast R-CNN's detection step; the choices of torchvision `nms` and, with `group`, `batched_nms`; tiles as in
    the TPU code's `nms`.
    """

    def overlap(these: slice, those: slice) -> Bool[Array, "n m"]:
        overlaps = box_ops.iou(boxes[these], boxes[those]) > iou_threshold
        return overlaps if group is None else overlaps & (group[these, None] == group[None, those])

    # As equal as they can be: what has the same shape is traced once.
    count = max(1, math.ceil(len(boxes) / TILE))
    size = max(1, math.ceil(len(boxes) / count))
    tiles = [slice(start, start + size) for start in range(0, len(boxes), size)]
    kept: list[Array] = []
    for tile in tiles:
        candidates = valid[tile]
        for better, keep in zip(tiles, kept, strict=False):
            candidates &= ~jnp.any(overlap(tile, better) & keep[None, :], axis=1)
        # Each row is a box and its columns those that may suppress it: XLA for CPUs is faster along a row.
        kept.append(_settle(candidates, yields=jnp.tril(overlap(tile, tile), -1)))
    return jnp.concatenate([valid[:0], *kept])


def _settle(candidates: Bool[Array, " n"], yields: Bool[Array, "n n"]) -> Bool[Array, " n"]:
    """The solution of `keep = candidates & ~any(yields & keep)`, where a box yields to better ones only.

    It is unique: the boxes that greedy suppression keeps. Each application of the equation, starting from all
    candidates, settles at least one more box in the order of scores, so the iteration ends in it for any threshold. The
    number of rounds is the longest chain in which one box decides the next, a handful in practice.
    """

    def apply(state):
        keep, _ = state
        return candidates & ~jnp.any(yields & keep[None, :], axis=1), keep

    def unsettled(state):
        keep, previous = state
        return jnp.any(keep != previous)

    return jax.lax.while_loop(unsettled, apply, apply((candidates, candidates)))[0]


def first(keep: Bool[Array, " k"], count: int) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    """Positions of the first `count` True values.

    Returns:
        `[count]` int32 positions and which of them are real; the others point at position 0.
    """
    index = jnp.nonzero(keep, size=count, fill_value=keep.shape[0])[0]
    found = index < keep.shape[0]
    return jnp.where(found, index, 0).astype(jnp.int32), found
