"""Where the words beside boxes stand, so that they hide as little as possible."""

import numpy as np
from jaxtyping import Real


def find_place(
    box: Real[np.ndarray, "4"],
    size: tuple[float, float],
    window: tuple[float, float, float, float],
    boxes: Real[np.ndarray, "n 4"],
    taken: Real[np.ndarray, "m 4"],
) -> Real[np.ndarray, "4"] | None:
    """The best place for a tag with words at a box: beside it if it can be, and over no other box if it can be.

    Args:
        box: What the words belong to; all boxes are `(x0, y0, x1, y1)` pixels.
        size: (width, height) of the tag, pixels.
        window: What is seen; the tag is moved into it.
        boxes: Of everything that should not be hidden. Of places that hide equally much of `box` the tag takes that
            which hides the least shares of these.
        taken: Tags that have their places: no other covers them.

    Returns:
        The tag's box; None if it finds no place.
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
    """Pixels that each tag shares with each of the others; to a hundredth, as tags that touch share none."""
    ends = np.minimum(tags[:, None, 2:], others[:, 2:])
    return np.maximum(ends - np.maximum(tags[:, None, :2], others[:, :2]), 0).prod(axis=2).round(2)
