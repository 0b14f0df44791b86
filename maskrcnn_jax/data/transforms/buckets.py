"""Sizes of images after resizing, and the padded shapes that hold them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer

from maskrcnn_jax.messages.config_error import ConfigError
from maskrcnn_jax.ops.images import InputConfig

Bucket = tuple[int, int]
"""Padded (height, width) of the network input."""
COARSEST = 32
"""Stride of P5: the sides of a network input are multiples of it."""


def resized_sizes(
    sizes: Integer[np.ndarray, "n 2"],
    shortest_edge: int,
    longest_edge: int,
    *,
    enlarge_only: bool = False,
    floor_size: bool = False,
) -> Integer[np.ndarray, "n 2"]:
    """Makes the shorter side `shortest_edge` unless the longer would then exceed `longest_edge`.

    Systems multiply and round in different orders, which changes sizes by a pixel.

    Args:
        sizes: `[n, 2]` `(height, width)`, pixels.
        shortest_edge: Length of the shorter side, pixels.
        longest_edge: Greatest length of the longer side, pixels.
        enlarge_only: A shorter side that is longer stays; halves go to the even number. See `InputConfig`.
        floor_size: Drop fractions. See `InputConfig`.

    Returns:
        `[n, 2]` `(height, width)`, at least one pixel.

    Source: Detectron2 `ResizeShortestEdge`; torchvision `GeneralizedRCNNTransform` (`floor_size`); Matterport
    `resize_image` (`enlarge_only`).
    """
    # As two arrays: NumPy is slow along an axis of length two, and a source may have millions of images.
    height, width = sizes.T
    shorter, longer = np.minimum(height, width), np.maximum(height, width)
    scale = shortest_edge / shorter
    if enlarge_only:
        scale = np.maximum(scale, 1.0)
    if enlarge_only or floor_size:
        sides = sizes * np.minimum(scale, longest_edge / longer)[:, None]
        whole = np.floor(sides) if floor_size else np.rint(sides)
    else:
        sides = np.where(sizes == shorter[:, None], shortest_edge, sizes * scale[:, None])
        sides = sides * np.minimum(1.0, longest_edge / np.maximum(*sides.T))[:, None]
        whole = np.floor(sides + 0.5)
    return np.maximum(whole, 1).astype(np.int64)


def fitted_sizes(
    sizes: Integer[np.ndarray, "n 2"], config: InputConfig
) -> tuple[Integer[np.ndarray, "n 2"], Integer[np.ndarray, "n 2"]]:
    """The resized and the padded sizes of images in prediction, `(height, width)` each.

    Args:
        sizes: `[n, 2]` `(height, width)`, pixels.
        config: Lengths of the sides, and the padded sizes to choose from.

    Raises:
        ConfigError: No bucket holds a resized image.
    """
    resized = resized_sizes(
        sizes,
        config.shortest_edge,
        config.longest_edge,
        enlarge_only=config.enlarge_only,
        floor_size=config.floor_size,
    )
    if not config.buckets:
        return resized, -(-resized // COARSEST) * COARSEST
    return resized, np.asarray(config.buckets)[choose_buckets(resized, config.buckets)]


def choose_buckets(sizes: Integer[np.ndarray, "n 2"], buckets: Sequence[Bucket]) -> Integer[np.ndarray, " n"]:
    """Finds the smallest bucket that holds each image.

    Args:
        sizes: `[n, 2]` `(height, width)` after resizing, pixels.
        buckets: Padded shapes to choose from; of equal areas the first wins.

    Returns:
        `[n]` indices into `buckets`.

    Raises:
        ConfigError: An image fits into no bucket; the message names its size.
    """
    if not buckets:
        raise ConfigError("buckets = (): give at least one padded (height, width)")
    shapes = np.asarray(buckets)
    fits = np.all(sizes[:, None] <= shapes, axis=-1)
    unfit = np.flatnonzero(~np.any(fits, axis=1))
    if unfit.size:
        height, width = sizes[unfit[0]].tolist()
        raise ConfigError(
            f"buckets = {tuple(buckets)}: none holds the {unfit.size} of {len(sizes)} images like the first, "
            f"{height}×{width} pixels (height×width) after resizing; add a bucket of at least that size or lower "
            "shortest_edge(s) or longest_edge"
        )
    return np.where(fits, shapes.prod(axis=1), np.iinfo(np.int64).max).argmin(axis=1)
