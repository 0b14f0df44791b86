"""Boxes on the host."""

import numpy as np
from jaxtyping import Float, Shaped


def box_iou(a: Shaped[np.ndarray, "n 4"], b: Shaped[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Computes the IoU of every pair of boxes `(x0, y0, x1, y1)`; 0 for boxes without area."""
    start, end = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.prod(np.maximum(end - start, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return intersection / np.maximum(areas[0][:, None] + areas[1][None] - intersection, 1e-9)
