"""Sampling a fixed number of positive and negative boxes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt32

from maskrcnn_jax.ops.matching import Assignment


class Sample(NamedTuple):
    """Chosen boxes, positives first."""

    index: Int[Array, " s"]  # type: ignore[assignment]  # hides tuple.index, which has no use here
    """Which box each slot holds."""
    positive: Bool[Array, " s"]
    valid: Bool[Array, " s"]
    """The slot holds a chosen box; False where there were too few to choose from."""


def sample(
    key: PRNGKeyArray | UInt32[Array, "2"], assignment: Int[Array, " n"], count: int, foreground_fraction: float
) -> Sample:
    """Draws `count` boxes at random without replacement, at most a share of them positive.

    Args:
        key: random key; it is consumed.
        assignment: `Assignment` of each box; IGNORE is never drawn.
        count: slots to fill.
        foreground_fraction: at most `⌊count · fraction⌋` slots are positive; negatives fill the rest.

    Returns:
        Sample of `min(count, n)` slots. The positives stand at the front.

    Source: Faster R-CNN, section 3.1.3; numbers of Detectron2 `subsample_labels`.
    """
    # The share is one of the slots asked for, as in Detectron2, even where there are not so many boxes.
    most_positives = min(int(count * foreground_fraction), assignment.shape[0])
    count = min(count, assignment.shape[0])
    rank = jax.random.uniform(key, assignment.shape)
    is_positive = assignment == Assignment.POSITIVE
    # Positives get rank + 2 if among the best `most_positives`, negatives rank, the others −1: one top-k takes them.
    chosen = jnp.zeros_like(is_positive)
    if most_positives:
        value, index = jax.lax.top_k(jnp.where(is_positive, rank, -1.0), most_positives)
        chosen = chosen.at[index].set(value >= 0)
    priority = jnp.where(chosen, rank + 2.0, jnp.where(assignment == Assignment.NEGATIVE, rank, -1.0))
    priority, index = jax.lax.top_k(priority, count)
    return Sample(index.astype(jnp.int32), priority >= 2.0, priority >= 0.0)
