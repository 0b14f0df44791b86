"""Objects that are annotated by a box alone: the mask is the box, filled."""

import math

from maskrcnn_jax.masks.rle import encode_runs

ON = 1e-6
"""Pixels: a centre this near to an edge lies on it."""


def fill(box: tuple[float, float, float, float], size: tuple[int, int]) -> bytes:
    """The compressed run-length code of a filled box: pixels whose centre lies in or on it.

    As `formats.outlines.fill_box`, without building the mask.

    Args:
        box: `(x0, y0, x1, y1)`, pixels, inside the image.
        size: (height, width) of the image.
    """
    height, width = size
    left, top = (math.ceil(edge - 0.5 - ON) for edge in box[:2])
    right, bottom = (math.floor(edge - 0.5 + ON) + 1 for edge in box[2:])
    if left >= right or top >= bottom:
        return encode_runs([height * width], size)
    tall = bottom - top
    if tall == height:
        runs = [left * height, (right - left) * height]
    else:  # Zeros, then a run of ones in each column, with the zeros between it and the next column's.
        runs = [left * height + top, *[tall, height - tall] * (right - left - 1), tall]
    return encode_runs([*runs, height * width - sum(runs)], size)


def box_warning(boxes: int, objects: int) -> str:
    """The warning on objects that are annotated by boxes."""
    return (
        f"{boxes} of {objects} objects are annotated by a box, which now is their mask, filled; train such data "
        "without mask head (mask_head = None), or outline the objects"
    )
