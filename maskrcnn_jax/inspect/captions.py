"""Words beside boxes, none over another, and none over a box where there is room."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from maskrcnn_jax.draw.colors import contrast
from maskrcnn_jax.draw.label_layout import find_position
from maskrcnn_jax.inspect.panels import Color

MOST = 20
"""Boxes of one panel that get a text: more would cover the image."""
SIZE = 7.5
"""Points."""
WIDE, HIGH = 0.62, 1.5
"""Of a letter and of a line, in units of the size: a little more than most are."""


def caption(axes: Axes, texts: Sequence[str], boxes: Float[np.ndarray, "n 4"], colors: Sequence[Color]) -> None:
    """Writes a text beside each of the first `MOST` boxes, on a tag of its colour; the first find the best places.

    A text that finds no place beside the others is left out.

    Call it once the image is shown: the limits of the axes decide how large letters are.

    Args:
        axes: a panel that shows an image in the pixels of the boxes.
        texts: one per box.
        boxes: `[n, 4]`.
        colors: one per box.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None, "the panel belongs to no figure"
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    place = axes.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    point = (right - left) * columns / (72 * figure.get_figwidth())
    taken = np.zeros((0, 4))
    for text, box, color in islice(zip(texts, boxes.astype(float), colors, strict=True), MOST):
        wide, high = ((WIDE * len(text) + 0.5) * SIZE * point, HIGH * SIZE * point)
        tag = find_position(box, (wide, high), (left, top, right, bottom), boxes, taken)
        if tag is None:
            continue
        taken = np.concatenate([taken, tag[None]])
        red, green, blue = (round(255 * channel) for channel in color)
        ink = "black" if contrast((red, green, blue)) == (0, 0, 0) else "white"
        axes.text(
            tag[0] + 0.25 * SIZE * point,
            tag[1] + high / 2,
            text,
            color=ink,
            fontsize=SIZE,
            ha="left",
            va="center_baseline",
            bbox={"facecolor": color, "edgecolor": "none", "pad": 0.8},
        )
