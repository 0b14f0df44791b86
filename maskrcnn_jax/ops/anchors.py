"""Anchors: the reference boxes of the region proposal network."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def cell_anchors(size: float, aspect_ratios: Sequence[float], rounded: bool = False) -> Float[np.ndarray, "r 4"]:
    """Anchors of one feature cell, centred on the origin.

    Args:
        size: square root of the area, pixels.
        aspect_ratios: height over width, one anchor each.
        rounded: round the corners to whole pixels, half to even (torchvision).

    Returns:
        `[r, 4]` float32, pixels: `(-w/2, -h/2, w/2, h/2)` with `w = size / √ratio`, `h = size · √ratio`.

    Source: Faster R-CNN, section 3.1.1; numbers of Detectron2 `generate_cell_anchors`, torchvision when rounded.
    """
    root = np.sqrt(np.asarray(aspect_ratios, np.float64))
    width, height = size / root, size * root
    corners = np.stack([-width, -height, width, height], axis=-1) / 2
    return (np.round(corners) if rounded else corners).astype(np.float32)


def grid_anchors(
    cell: Float[np.ndarray, "r 4"], height: int, width: int, stride: tuple[float, float], offset: float = 0.0
) -> Float[np.ndarray, "a 4"]:
    """Anchors of a whole feature map: row by row, cell by cell, ratio by ratio.

    Args:
        cell: anchors of one cell, pixels.
        height: cells of the feature map, vertically.
        width: cells of the feature map, horizontally.
        stride: `(vertical, horizontal)` pixels per cell.
        offset: position of an anchor's centre in its cell, in strides; 0 is the top-left corner.

    Returns:
        `[height · width · r, 4]` float32, pixels. Anchors may leave the image.

    Source: Detectron2 `DefaultAnchorGenerator`.
    """
    y = (np.arange(height, dtype=np.float32) + offset) * stride[0]
    x = (np.arange(width, dtype=np.float32) + offset) * stride[1]
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    shift = np.stack([grid_x, grid_y, grid_x, grid_y], axis=-1)
    return (shift[:, :, None] + cell).reshape(-1, 4).astype(np.float32)
