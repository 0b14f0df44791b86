"""Which raster of an image file annotations refer to: the stored one, or the one turned by its EXIF orientation."""

from typing import Any

from maskrcnn_jax.data.images.reading import Header
from maskrcnn_jax.data.prepare.formats.points import Malformed
from maskrcnn_jax.data.prepare.json_values import shown, whole

Sides = tuple[int | None, int | None]
"""Annotated (height, width), pixels; None where an annotation does not have it."""


class OtherSize(ValueError):
    """An image that is not of the annotated size; the message names it and both sizes."""


def read_sides(height: Any, width: Any) -> Sides:
    """The annotated size of an image; tools write 0 or -1 where it is unknown.

    Raises:
        Malformed: A side is neither absent nor a whole number.
    """
    sides: list[int | None] = []
    for name, value in (("height", height), ("width", width)):
        side = None if value is None else whole(value)
        if value is not None and (side is None or side < -1):
            raise Malformed(f"the image's {name} is {shown(value)}, no whole number of pixels")
        sides.append(side if side is not None and side > 0 else None)
    return sides[0], sides[1]


def is_upright(header: Header, annotated: Sides, usual: bool, name: str) -> bool:
    """Whether annotations refer to the upright raster.

    Args:
        header: Of the image file.
        annotated: Size in the annotations.
        usual: The result where the size is no evidence.
        name: What error messages call the image.

    Raises:
        OtherSize: Neither raster has the annotated size.
    """
    for upright in (usual, not usual):
        size = header.size_of(upright)
        if all(side in (None, real) for side, real in zip(annotated, size, strict=True)):
            return upright
    height, width = ("?" if side is None else side for side in annotated)
    real = "×".join(map(str, header.size_of(usual)))
    raise OtherSize(f"{name} has {real} pixels (height×width), its annotation says {height}×{width}")
