"""Panels with images, boxes, masks and captions, visible on light and on dark images."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from maskrcnn_jax.draw.colors import contrast
from maskrcnn_jax.draw.label_layout import find_position
from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.colors import Color, Ink, Style
from maskrcnn_jax.structs import Array

WIDTH = 12.5
"""Of the page, inches: wider figures are scaled down."""
DPI = 144
"""Of figures in files; the page shows them at 96 to the inch, so that they are sharp on high-resolution screens."""
TALLEST = 6.5
"""Of a panel, inches."""
TITLE = 0.32
"""Height of a panel's title, inches."""
SMALL = 9
"""Points."""
CAPTIONS = 20
"""Labels of one panel, at most: more would cover the image."""
CAPTION_SIZE = 7.5
"""Points."""
LETTER_WIDTH, LINE_HEIGHT = 0.62, 1.5
"""Width of a letter and height of a line in units of a caption's size, slightly overestimated."""


def panels(count: int, columns: int, shape: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """A figure with empty panels for images of one shape, (height, width), as large as a page takes them."""
    columns = min(columns, count)
    lines = -(-count // columns)
    width = min(WIDTH / columns, TALLEST * shape[1] / shape[0])
    figure = LiteralFigure(figsize=(columns * width, lines * (width * shape[0] / shape[1] + TITLE)))
    figure.set_layout_engine("compressed", w_pad=0.04, h_pad=0.04)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    return figure, list(grid[:count])


def panel(image: Array, title: str = "") -> tuple[Figure, Axes]:
    """A figure of one image; see `show`."""
    figure, [axes] = panels(1, 1, image.shape)
    show(axes, image, title)
    return figure, axes


def show(axes: Axes, image: Array, title: str = "") -> None:
    """Shows an image, RGB or gray in [0, 255]; its corner is (0, 0)."""
    height, width = image.shape[:2]
    pixels = np.asarray(image).astype(np.uint8)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="nearest")
    axes.set_title(title, fontsize=SMALL)


def fade(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Makes an image light and gray, so that lines and tints of all colours are visible."""
    return 255 - (255 - cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) // 2


def draw_boxes(
    axes: Axes,
    boxes: Float[np.ndarray, "n 4"],
    colors: Color | Sequence[Color],
    style: Style | Sequence[Style] = "-",
    width: float = 1.6,
) -> None:
    """Draws boxes with a dark rim, all in one colour or each in its own, and the same for styles."""
    x0, y0, x1, y1 = boxes.T
    corners = list(np.stack([np.stack([x0, x1, x1, x0], 1), np.stack([y0, y0, y1, y1], 1)], axis=2))
    rim = withStroke(linewidth=2 * width, foreground=(0, 0, 0, 0.55))
    lines = PolyCollection(
        corners, facecolors="none", edgecolors=colors, linestyles=style, linewidths=width, path_effects=[rim]
    )
    axes.add_collection(lines, autolim=False)


def draw_refined(
    axes: Axes,
    before: Float[np.ndarray, "n 4"],
    after: Float[np.ndarray, "n 4"],
    colors: Sequence[Color],
    style: Style = "--",
    width: float = 2.2,
) -> None:
    """Draws boxes before their deltas, thin and in a style, and after, full; lines connect the upper left corners."""
    draw_boxes(axes, before, colors, style, 1.0)
    draw_boxes(axes, after, colors, width=width)
    rim = withStroke(linewidth=2.4, foreground=(0, 0, 0, 0.55))
    lines = list(np.stack([before[:, :2], after[:, :2]], axis=1))
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.0, path_effects=[rim]), autolim=False)


def tint(axes: Axes, masks: Iterable[Bool[np.ndarray, "H W"]], colors: Iterable[Color], strength: float = 0.5) -> None:
    """Colours the area of masks; later ones are on top."""
    layer: UInt8[np.ndarray, "H W 4"] | None = None
    for mask, color in zip(masks, colors, strict=True):
        layer = np.zeros((*mask.shape, 4), np.uint8) if layer is None else layer
        layer[mask] = np.rint(255 * np.array([*color, strength]))
    if layer is not None:
        height, width = layer.shape[:2]
        axes.imshow(layer, extent=(0, width, height, 0), interpolation="nearest")


def legend(figure: Figure, names: Mapping[str, Ink]) -> None:
    """A legend of lines below all panels, row by row."""
    if not names:
        return
    longest = max(map(len, names))
    columns = max(1, int(figure.get_figwidth() / (0.7 + 0.064 * longest)))
    by_column = [item for column in range(columns) for item in list(names.items())[column::columns]]
    rim = [withStroke(linewidth=4.2, foreground=(0, 0, 0, 0.55))]
    lines = [Line2D([], [], color=c, linestyle=s, linewidth=3, path_effects=rim) for _, (c, s) in by_column]
    looks = {"fontsize": SMALL, "frameon": False, "handlelength": 2.6}
    figure.legend(lines, [name for name, _ in by_column], loc="outside lower center", ncols=columns, **looks)
    lines_below = -(-len(names) // columns)
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.2 * lines_below)


def caption(axes: Axes, texts: Sequence[str], boxes: Float[np.ndarray, "n 4"], colors: Sequence[Color]) -> None:
    """Writes a label beside each of the first `CAPTIONS` boxes, on its colour, in the order of the boxes.

    A label without room beside the others is left out. Call it after the image is shown: the size of letters depends on
    the limits of the axes.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None, "the panel belongs to no figure"
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    spec = axes.get_subplotspec()
    columns = 1 if spec is None else spec.get_gridspec().ncols
    point = (right - left) * columns / (72 * figure.get_figwidth())
    taken = np.zeros((0, 4))
    for text, box, color in islice(zip(texts, boxes.astype(float), colors, strict=True), CAPTIONS):
        wide, high = ((LETTER_WIDTH * len(text) + 0.5) * CAPTION_SIZE * point, LINE_HEIGHT * CAPTION_SIZE * point)
        tag = find_position(box, (wide, high), (left, top, right, bottom), boxes, taken)
        if tag is None:
            continue
        taken = np.concatenate([taken, tag[None]])
        red, green, blue = (round(255 * channel) for channel in color)
        ink = "black" if contrast((red, green, blue)) == (0, 0, 0) else "white"
        axes.text(
            tag[0] + 0.25 * CAPTION_SIZE * point,
            tag[1] + high / 2,
            text,
            color=ink,
            fontsize=CAPTION_SIZE,
            ha="left",
            va="center_baseline",
            bbox={"facecolor": color, "edgecolor": "none", "pad": 0.8},
        )
