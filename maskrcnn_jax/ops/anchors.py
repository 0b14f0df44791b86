"""Anchors: the reference boxes of the region proposal network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from maskrcnn_jax.messages.config_error import require, require_positive


@dataclass(frozen=True)
class AnchorConfig:
    """Reference boxes of the region proposal network."""

    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    """Square root of the area, pixels, one per level of the pyramid, P2 … P6."""
    scales: tuple[float, ...] = (1.0,)
    """Factors of the sizes: each cell has an anchor of each scale and ratio. One level of size 32 with the scales 1, 2,
    4, 8 and 16 is Faster R-CNN's; 1, 2^(1/3) and 2^(2/3) are RetinaNet's."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width, in the order in which the head predicts them."""
    rounded: bool = False
    """Round the corners of the anchor at the origin to whole pixels (torchvision)."""
    offset: float = 0.0
    """Position of the anchor's centre in its cell, in strides: 0 is the corner (Detectron2, torchvision)."""
    floor_stride: bool = False
    """Cells are ⌊image side / cells⌋ pixels apart (torchvision), not 4, 8, …: it matters on P6 of odd P5."""

    @property
    def per_cell(self) -> int:
        """Anchors of each cell."""
        return len(self.scales) * len(self.aspect_ratios)

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        for name in ("sizes", "scales", "aspect_ratios"):
            values = getattr(self, name)
            require(len(values) > 0, f"{where}.{name}", values, "must not be empty")
            require_positive(f"{where}.{name}", *values)
        require(0 <= self.offset < 1, f"{where}.offset", self.offset, "must lie in [0, 1)")


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


def pyramid_anchors(
    config: AnchorConfig,
    cells: Sequence[tuple[int, int]],
    strides: Sequence[int],
    image_shape: tuple[int, int],
    inclusive: bool = False,
) -> tuple[Float[np.ndarray, "a 4"], tuple[int, ...]]:
    """Anchors of all levels of a pyramid: level by level, row by row, cell by cell, scale by scale, ratio by ratio.

    Args:
        config: sizes and shapes.
        cells: (height, width) of each level.
        strides: pixels per cell of each level.
        image_shape: (height, width) of the padded input; with `config.floor_stride` a stride is `⌊side / cells⌋`.
        inclusive: anchors end on their last pixel, not after it.

    Returns:
        `[a, 4]` float32, pixels, and how many each level has.
    """
    levels = []
    for size, (height, width), stride in zip(config.sizes, cells, strides, strict=True):
        cell = np.concatenate([cell_anchors(size * s, config.aspect_ratios, config.rounded) for s in config.scales])
        floored = (float(image_shape[0] // height), float(image_shape[1] // width))
        nominal = (float(stride), float(stride))
        levels.append(grid_anchors(cell, height, width, floored if config.floor_stride else nominal, config.offset))
    anchors = np.concatenate(levels) - np.array([0, 0, inclusive, inclusive], np.float32)
    return anchors, tuple(len(level) for level in levels)
