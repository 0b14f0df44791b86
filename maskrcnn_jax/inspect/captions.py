"""Words beside boxes, none over another and none over its own box where there is room."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from maskrcnn_jax.inspect.panels import Color

MOST = 20
"""Boxes of one panel that get a text: more would cover the picture."""
SIZE = 7.5
"""Points."""
WIDE, HIGH = 0.62, 1.5
"""Of a letter and of a line, in units of the size: a little more than most are."""


def caption(axes: Axes, texts: Sequence[str], boxes: Float[np.ndarray, "n 4"], colors: Sequence[Color]) -> None:
    """Writes a text beside each of the first `MOST` boxes, on a plate of its colour; the first find the best places.

    Call it once the picture is shown: the limits of the axes decide how large letters are.

    Args:
        axes: a panel that shows a picture in the pixels of the boxes.
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
        size = np.array([WIDE * len(text) + 0.5, HIGH]) * SIZE * point
        plate = _place(box, size, np.array([left, top]), np.array([right, bottom]), taken)
        taken = np.concatenate([taken, plate[None]])
        ink = "black" if np.dot(color, (0.299, 0.587, 0.114)) > 0.43 else "white"
        axes.text(
            plate[0] + 0.25 * SIZE * point,
            plate[1] + size[1] / 2,
            text,
            color=ink,
            fontsize=SIZE,
            ha="left",
            va="center_baseline",
            parse_math=False,
            bbox={"facecolor": color, "edgecolor": "none", "pad": 0.8},
        )


def _place(
    box: np.ndarray, size: np.ndarray, first: np.ndarray, last: np.ndarray, taken: np.ndarray
) -> Float[np.ndarray, "4"]:
    """The plate with the least cost: over other plates, over its box, moved into the panel."""
    (x0, y0, x1, y1), (wide, high) = box, size
    places = [(x0, y0 - high), (x0, y1), (x1 - wide, y0 - high), (x1 - wide, y1), (x1, y0), (x0 - wide, y0), (x0, y0)]
    best, least = np.zeros(4), np.inf
    for place in np.array(places):
        corner = np.clip(place, first, np.maximum(last - size, first))
        plate = np.concatenate([corner, corner + size])
        cost = 100 * _shared(plate, taken) + 10 * _shared(plate, box[None]) + np.abs(corner - place).sum()
        if cost < least:
            best, least = plate, cost
    return best


def _shared(plate: np.ndarray, others: np.ndarray) -> float:
    """Pixels that a plate shares with others."""
    sides = np.minimum(plate[2:], others[:, 2:]) - np.maximum(plate[:2], others[:, :2])
    return float(np.prod(np.maximum(sides, 0), axis=1).sum())
