"""Boxes as NumPy arrays on the host: `(x0, y0, x1, y1)`."""

import numpy as np
from jaxtyping import Float, Real


def box_area(boxes: Real[np.ndarray, "*n 4"]) -> Real[np.ndarray, "*n"]:
    """Area of each box; a box with a negative side has area 0."""
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def box_overlap(a: Real[np.ndarray, "*#n 4"], b: Real[np.ndarray, "*#n 4"]) -> Real[np.ndarray, "*#n 4"]:
    """The box that two boxes have in common; a side is negative where they do not overlap."""
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)


def box_iou(a: Real[np.ndarray, "n 4"], b: Real[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Intersection over union of each box of `a` with each box of `b`.

    Returns:
        `[n, m]` in `[0, 1]`; 0 where both boxes have no area.
    """
    shared = box_area(box_overlap(a[:, None], b[None]))
    return shared / np.maximum(box_area(a)[:, None] + box_area(b)[None] - shared, 1e-9)
