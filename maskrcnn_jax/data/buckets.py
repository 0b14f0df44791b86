"""Sizes: how large a picture becomes and which padded shape holds it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer

from maskrcnn_jax.config import ConfigError

Bucket = tuple[int, int]
"""Padded (height, width) of the network input."""


def resize_scale(sizes: Integer[np.ndarray, "n 2"], shortest_edge: int, longest_edge: int) -> Float[np.ndarray, " n"]:
    """Factors that make the shorter side `shortest_edge` unless the longer would then exceed `longest_edge`."""
    return np.minimum(shortest_edge / sizes.min(axis=1), longest_edge / sizes.max(axis=1))


def scaled_sizes(sizes: Integer[np.ndarray, "n 2"], scale: Float[np.ndarray, " n"]) -> Integer[np.ndarray, "n 2"]:
    """`(height, width)` after scaling, rounded half up as Detectron2 does, at least one pixel."""
    return np.maximum((sizes * scale[:, None] + 0.5).astype(np.int64), 1)


def choose_buckets(sizes: Integer[np.ndarray, "n 2"], buckets: Sequence[Bucket]) -> Integer[np.ndarray, " n"]:
    """Finds the smallest bucket that holds each picture.

    Args:
        sizes: `[n, 2]` `(height, width)` after resizing, pixels.
        buckets: Padded shapes to choose from; of equal areas the first wins.

    Returns:
        `[n]` indices into `buckets`.

    Raises:
        ConfigError: A picture fits into no bucket; the message names its size.
    """
    if not buckets:
        raise ConfigError("buckets = (): give at least one padded (height, width)")
    shapes = np.asarray(buckets)
    fits = np.all(sizes[:, None] <= shapes, axis=-1)
    homeless = np.flatnonzero(~np.any(fits, axis=1))
    if homeless.size:
        height, width = sizes[homeless[0]].tolist()
        raise ConfigError(
            f"buckets = {tuple(buckets)}: none holds the {homeless.size} of {len(sizes)} pictures like the first, "
            f"{height}×{width} pixels (height×width) after resizing; add a bucket of at least that size or lower "
            "shortest_edge(s) or longest_edge"
        )
    return np.where(fits, shapes.prod(axis=1), np.iinfo(np.int64).max).argmin(axis=1)
