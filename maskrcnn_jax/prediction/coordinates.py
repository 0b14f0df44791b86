"""Coordinates of an image and of the network's input, both from the image's upper left corner."""

import numpy as np
from jaxtyping import Float

Boxes = Float[np.ndarray, "n 4"]


def to_input_coords(boxes: Boxes, size: tuple[int, int], scale: tuple[float, float], inclusive: bool) -> Boxes:
    """Boxes of an image in coordinates of the network's input.

    Args:
        boxes: (x0, y0, x1, y1), pixels of the image, continuous.
        size: (height, width) of the image, pixels.
        scale: (x, y), network pixels per image pixel.
        inclusive: See `ModelConfig.inclusive_boxes`.

    Source: Matterport `norm_boxes` where inclusive: both are measured from the centre of the first pixel to that of
    the last.
    """
    return (boxes - _last_pixel(inclusive)) * np.tile(_pixels(size, scale, inclusive), 2)


def to_image_coords(boxes: Boxes, size: tuple[int, int], scale: tuple[float, float], inclusive: bool) -> Boxes:
    """The inverse of `to_input_coords`, clipped to the image; whole pixels where inclusive.

    Source: Matterport `unmold_detections` where inclusive.
    """
    height, width = size
    boxes = boxes / np.tile(_pixels(size, scale, inclusive), 2) + _last_pixel(inclusive)
    return np.clip(np.rint(boxes) if inclusive else boxes, 0, [width, height, width, height])


def _last_pixel(inclusive: bool) -> np.ndarray:
    return np.array([0.0, 0.0, inclusive, inclusive])


def _pixels(size: tuple[int, int], scale: tuple[float, float], inclusive: bool) -> np.ndarray:
    """(x, y): network pixels per image pixel, from the first pixel to the last where inclusive."""
    if not inclusive:
        return np.array(scale, np.float64)
    sides = np.array(size[::-1], np.float64)
    resized = np.rint(sides * scale)
    return np.maximum(resized - 1, 1) / np.maximum(sides - 1, 1)
