"""The shapes of labelme and of the tools that write its format, filled."""

import math
from typing import Any

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.pillow_image import opened
from maskrcnn_jax.data.prepare.formats.labelme_base64 import decode_base64
from maskrcnn_jax.data.prepare.formats.outlines import fill_box, fill_ellipse, fill_polygon
from maskrcnn_jax.data.prepare.formats.points import Malformed, encloses_nothing, read_points
from maskrcnn_jax.data.prepare.formats.runs import encode_runs, runs_of
from maskrcnn_jax.data.prepare.json_values import shown

NO_AREA = ("line", "linestrip", "point", "points")

CORNERS = ("polygon", "rectangle", "oriented_rectangle", "rotation", "quadrilateral")
"""Given by their corners; X-AnyLabeling gives all four of a rectangle, and writes turned ones as "rotation"."""


def fill(shape: dict[str, Any], size: tuple[int, int]) -> dict[str, Any] | None:
    """The run-length code of a shape's pixels; None for a polygon of fewer than three different points.

    Args:
        shape: Anything of JSON.
        size: (height, width) of the image, pixels.

    Raises:
        ValueError: It is no shape that can be filled.
    """
    kind = shape.get("shape_type")
    kind = "polygon" if kind in (None, "") else kind
    points = read_points(shape.get("points"), size)
    if kind in CORNERS and not (kind == "rectangle" and len(points) <= 2):
        return None if encloses_nothing(points) else fill_polygon(points, size)
    if kind not in ("rectangle", "circle", "mask"):
        raise Malformed(f"shape_type {shown(kind)} is not known")
    if len(points) != 2:
        raise Malformed(f"a {kind} of {len(points)} points instead of 2")
    (x0, y0), (x1, y1) = points.tolist()
    if kind == "rectangle":
        return fill_box(x0, y0, x1, y1, size)
    if kind == "circle":
        radius = math.dist((x0, y0), (x1, y1))
        return fill_ellipse((x0, y0), (radius, radius), 0, size) if radius else encode_runs([], size)
    return place(decode(shape.get("mask"), size), round(x0), round(y0), size)


def decode(text: Any, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """A mask over its box, a PNG in base64.

    The two points of its shape are its first and its last pixel (labelme's `shapes_to_label`).

    Raises:
        ValueError: It is none, or is larger than the image.
    """
    try:
        with opened(decode_base64(text, "mask"), "mask") as (_, image):
            width, height = image.size
            if height > size[0] or width > size[1]:
                raise BrokenImage(f"its mask has {height}×{width} pixels, its image {size[0]}×{size[1]} (height×width)")
            pixels = np.asarray(image)
    except BrokenImage as error:
        raise Malformed(str(error)) from error
    if pixels.ndim != 2:
        raise Malformed("a mask in colours")
    return (pixels > 0).astype(np.uint8)


def place(part: UInt8[np.ndarray, "h w"], x: int, y: int, size: tuple[int, int]) -> dict[str, Any]:
    """The code of a mask that shows `part` with its first pixel at `(x, y)`; what leaves the image is cut."""
    height, width = size
    inside = part[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)]
    return encode_runs([runs_of(inside, max(x, 0), max(y, 0), height)] if inside.size else [], size)
