"""Positions of labels beside boxes, so that they cover as little as possible."""

import numpy as np
from jaxtyping import Real


def find_position(
    box: Real[np.ndarray, "4"],
    size: tuple[float, float],
    window: tuple[float, float, float, float],
    boxes: Real[np.ndarray, "n 4"],
    taken: Real[np.ndarray, "m 4"],
) -> Real[np.ndarray, "4"] | None:
    """The best position for the label of a box: beside it if possible, and over no other box if possible.

    Args:
        box: The box of the label; all boxes are `(x0, y0, x1, y1)` pixels.
        size: (width, height) of the label, pixels.
        window: The visible region; the label is shifted into it.
        boxes: Boxes that should not be covered. Of positions that cover equally much of `box` the one that covers the
            smallest shares of these is taken.
        taken: Labels that have their positions and must not be covered.

    Returns:
        The box of the label; None if every position covers another label.
    """
    (x0, y0, x1, y1), (wide, high) = box.tolist(), size
    beside = [(x0, y0 - high), (x0, y1), (x1 - wide, y0 - high), (x1 - wide, y1)]
    beside += [(x1, y0), (x0 - wide, y0), (x1, y1 - high), (x0 - wide, y1 - high)]
    inside = [(x0, y0), (x1 - wide, y0), (x0, y1 - high), (x1 - wide, y1 - high)]
    wanted, first = np.array(beside + inside), np.array(window[:2])
    corners = np.clip(wanted, first, np.maximum(np.array(window[2:]) - size, first))
    tags = np.concatenate([corners, corners + size], axis=1)
    covers = _shared(tags, taken).sum(axis=1)
    own = _shared(tags, box[None])[:, 0]
    areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1)
    hidden = (_shared(tags, boxes) / areas).sum(axis=1)
    moved = np.abs(corners - wanted).sum(axis=1)
    best = np.lexsort((moved, hidden, own, covers))[0]
    return None if covers[best] > 0 else tags[best]


def _shared(tags: Real[np.ndarray, "k 4"], others: Real[np.ndarray, "n 4"]) -> Real[np.ndarray, "k n"]:
    """Area that each label shares with each box, rounded to hundredths of a pixel: labels that touch share none."""
    ends = np.minimum(tags[:, None, 2:], others[:, 2:])
    return np.maximum(ends - np.maximum(tags[:, None, :2], others[:, :2]), 0).prod(axis=2).round(2)
