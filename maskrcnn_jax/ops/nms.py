"""Non-maximum suppression with fixed shapes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops


def nms(
    boxes: Float[Array, "k 4"], valid: Bool[Array, " k"], iou_threshold: float, group: Int[Array, " k"] | None = None
) -> Bool[Array, " k"]:
    """Which boxes greedy suppression keeps.

    The greedy rule says: going from the best box to the worst, keep a box unless a kept better one overlaps it by more
    than the threshold. That is the only solution of the equation keep = valid and not any(keep and better and
    overlapping). Starting from all valid boxes and applying the equation again and again settles box after box, so the
    fixed point is exactly the greedy answer, for any threshold; the number of rounds is the longest chain in which
    one box decides the next, a handful in practice.

    Args:
        boxes: `[k, 4]` pixels, **best first**.
        valid: boxes that take part.
        iou_threshold: overlap above which (strictly) the worse box goes.
        group: boxes suppress each other only within a group (a class); None for one group.

    Returns:
        `[k]` bool; False where not `valid`.

    Source: Fast R-CNN's detection step; the choices of torchvision `nms` and, with `group`, `batched_nms`.
    """
    rank = jnp.arange(boxes.shape[0])
    # Each row is a box and its columns those that may suppress it: XLA for CPUs is faster along rows.
    yields = (box_ops.iou(boxes, boxes) > iou_threshold) & (rank[:, None] > rank[None, :])
    if group is not None:
        yields &= group[:, None] == group[None, :]

    def settle(state):
        keep, _ = state
        suppressed = jnp.any(yields & keep[None, :], axis=1)
        return valid & ~suppressed, keep

    def unsettled(state):
        keep, previous = state
        return jnp.any(keep != previous)

    return jax.lax.while_loop(unsettled, settle, settle((valid, valid)))[0]


def first(keep: Bool[Array, " k"], count: int) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    """Positions of the first `count` True values.

    Returns:
        `[count]` int32 positions and which of them are real; the others point at position 0.
    """
    index = jnp.nonzero(keep, size=count, fill_value=keep.shape[0])[0]
    found = index < keep.shape[0]
    return jnp.where(found, index, 0).astype(jnp.int32), found
