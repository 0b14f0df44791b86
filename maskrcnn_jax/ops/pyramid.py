"""A feature pyramid as one table of cells, so that one read reaches every level."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def concatenate_levels(
    features: Sequence[Float[Array, "_h _w f"]], level: Int[Array, " n"]
) -> tuple[Float[Array, "cells f"], Int[Array, " n"], Int[Array, " n"], Int[Array, " n"]]:
    """The cells of all levels, row by row, and where each box's level lies among them.

    Args:
        features: levels of one image, `[h, w, f]` each.
        level: index into `features` for each box.

    Returns:
        The table, and for each box the place of its level's first cell, the level's height and its width, in cells.
    """
    shapes = [f.shape[:2] for f in features]
    table = jnp.concatenate([f.reshape(-1, f.shape[-1]) for f in features])
    starts = jnp.asarray([sum(h * w for h, w in shapes[:i]) for i in range(len(shapes))], jnp.int32)
    height, width = jnp.asarray(shapes, jnp.int32).T
    return table, starts[level], height[level], width[level]
