"""Labels beside boxes, without overlaps."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from maskrcnn_jax.draw.colors import contrast
from maskrcnn_jax.draw.label_layout import find_position
from maskrcnn_jax.inspect.colors import Color

MOST = 20
"""Labels of one panel, at most: more would cover the image."""
SIZE = 7.5
"""Points."""
WIDE, HIGH = 0.62, 1.5
"""Width of a letter and height of a line in units of the size, slightly overestimated."""


def caption(axes: Axes, texts: Sequence[str], boxes: Float[np.ndarray, "n 4"], colors: Sequence[Color]) -> None:
    """Writes a label beside each of the first `MOST` boxes, on its colour, in the order of the boxes.

    A label without room beside the others is left out. Call it after the image is shown: the size of letters depends on
    the limits of the axes.

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
    spec = axes.get_subplotspec()
    columns = 1 if spec is None else spec.get_gridspec().ncols
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
