"""Distinguishing mask values that number objects from soft edges left by smoothing or JPEG."""

import cv2
import numpy as np
from jaxtyping import Integer, Shaped

NEIGHBOURS = np.ones((3, 3), np.uint8)
BLOCK = np.ones((2, 2), np.uint8)

SOFT_SHARE, SOFT_PIXELS = 0.25, 16
"""Share of the objects' contours, and number of pixels, from which on one-pixel rims are no accident. In maps of cells,
ellipses and lines that were drawn hard it is 0 to 0.12; after any smoothing, scaling or JPEG 0.33 to 1."""

NEAR = 0.1
"""Share of the range within which a value counts as its end."""

REACH = 8
"""Pixels: a soft edge is no wider to each side; nor are JPEG's blocks."""

ODD_SHARE = 0.02
"""Share of an object's pixels that may have a value between the levels far from the edge."""


def has_soft_edges(labels: Integer[np.ndarray, "H W"]) -> bool:
    """Whether numbers of pixels are those of smoothed edges: one-pixel rims between a lower and a higher number."""
    if labels.min() < 0 or labels.max() > np.iinfo(np.uint16).max:
        labels = np.unique(labels, return_inverse=True)[1]
    is_small = labels.max() <= np.iinfo(np.uint8).max
    numbers: np.ndarray = labels.astype(np.uint8) if is_small else labels.astype(np.uint16)
    contour = cv2.erode(numbers, NEIGHBOURS) < numbers
    between = contour & (numbers < cv2.dilate(numbers, NEIGHBOURS))
    equal = cv2.erode(numbers, BLOCK, anchor=(0, 0)) == cv2.dilate(numbers, BLOCK, anchor=(0, 0))
    in_block = cv2.dilate(equal.astype(np.uint8), BLOCK, anchor=(1, 1)) > 0
    rims = np.count_nonzero(between & ~in_block)
    return bool(rims >= max(SOFT_PIXELS, SOFT_SHARE * np.count_nonzero(contour)))


def has_two_levels(values: Shaped[np.ndarray, "H W"], low: float, high: float) -> bool:
    """Whether values are `low` and `high` except near the edge between them, where any between may be."""
    span = float(high) - float(low)
    inside = values >= low + span / 2
    odd_inside = inside & (values < high - NEAR * span)
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    # The middle of a small object counts as far from its edge.
    odd = np.count_nonzero(odd_inside & (depth > min(REACH, max(2.0, float(depth.max()) / 2))))
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    odd += np.count_nonzero(~inside & (values > low + NEAR * span) & (distance > REACH))
    return bool(odd <= ODD_SHARE * np.count_nonzero(inside))
