"""A figure of many small images in a grid, with captions, and a name for each line."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.panels import DPI, WIDTH

TALLEST = 2.6
"""Of a cell, inches."""
CAPTION, NAME, GAP = 0.24, 0.95, 0.08
"""Height of a caption, width of a line's name, space between cells, inches."""


class Tile(NamedTuple):
    """A small image."""

    image: np.ndarray
    """`[h, w, 3]` uint8 RGB."""
    caption: str = ""


def heat(
    values: Float[np.ndarray, "h w"], low: float | None = None, high: float | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Values as colours from dark blue, `low`, over green to yellow, `high`: by default the least and the greatest.

    Values that are not finite count as `low`; all are dark blue if they are equal.
    """
    finite = np.isfinite(values)
    known = values[finite] if finite.any() else np.zeros(1)
    low, high = float(known.min()) if low is None else low, float(known.max()) if high is None else high
    share = (np.where(finite, values, low) - low) / max(high - low, 1e-12)
    gray = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    return cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def tile_figure(grid: Sequence[Sequence[Tile]], names: Sequence[str] = ()) -> Figure:
    """Arranges tiles in lines, at least one, of cells of one width; each is scaled to its cell.

    The cells of a line have the shape of its tallest tile; to the left of it is its name, if there are names.
    """
    columns, left = max(map(len, grid)), NAME if names else 0.0
    shapes = [max(tile.image.shape[0] / tile.image.shape[1] for tile in line) for line in grid]
    wide = min((WIDTH - left - GAP * (columns + 1)) / columns, TALLEST / max(shapes))
    bottoms = np.cumsum([wide * shape + CAPTION + GAP for shape in shapes]).tolist()
    width, height = round((left + columns * (wide + GAP) + GAP) * DPI), round((bottoms[-1] + GAP) * DPI)
    canvas = np.full((height, width, 3), 255, np.uint8)
    figure = LiteralFigure(figsize=(width / DPI, height / DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for index, (line, shape, bottom) in enumerate(zip(grid, shapes, bottoms, strict=True)):
        end = bottom - CAPTION
        top = end - wide * shape
        if names:
            axes.text(left * DPI - 10, (top + end) / 2 * DPI, names[index], fontsize=9, ha="right", va="center")
        for column, tile in enumerate(line):
            x = left + GAP + column * (wide + GAP)
            cell = round(end * DPI) - round(top * DPI), round(wide * DPI)
            _paste(canvas, tile.image, (round(top * DPI), round(x * DPI)), cell)
            if tile.caption:
                axes.text((x + wide / 2) * DPI, (end + 0.03) * DPI, tile.caption, fontsize=7.5, ha="center", va="top")
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.add_artist(_Pixels(canvas))
    return figure


class _Pixels(Artist):
    """An image that covers its axes.

    Matplotlib's own resamples it even at its own size, which takes longer than all the rest of a figure.
    """

    def __init__(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        super().__init__()
        self.image = image

    def draw(self, renderer: RendererBase) -> None:
        assert self.axes is not None, "add it to axes"
        scale = renderer.get_image_magnification()
        x, y, width, height = self.axes.bbox.bounds
        size = round(width * scale), round(height * scale)
        image = self.image
        if image.shape[1::-1] != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        state = renderer.new_gc()
        renderer.draw_image(state, x, y, cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)[::-1])
        state.restore()


def _paste(canvas: np.ndarray, image: np.ndarray, corner: tuple[int, int], cell: tuple[int, int]) -> None:
    """Scales an image into the middle of its cell, (y, x) and (height, width) in pixels of the canvas."""
    factor = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
    height, width = (max(1, int(side * factor)) for side in image.shape[:2])
    method = cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA
    y, x = corner[0] + (cell[0] - height) // 2, corner[1] + (cell[1] - width) // 2
    scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    canvas[y : y + height, x : x + width] = scaled
