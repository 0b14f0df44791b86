"""Numbers and points of annotations, their types checked before anything computes with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from maskrcnn_jax.data.prepare.coco.segmentation import all_finite
from maskrcnn_jax.data.prepare.json_values import finite, shown


class Malformed(ValueError):
    """A part of an annotation that is not what its format needs; the message says which and what it is."""


def read_points(value: Any, size: tuple[int, int]) -> Float[np.ndarray, "n 2"]:
    """The corners of an outline, given as a list of `[x, y]`.

    Args:
        value: Anything.
        size: (height, width) of the image, pixels.

    Raises:
        Malformed: There is no such list, or a point lies far outside the image.
    """
    if not isinstance(value, list):
        raise Malformed(f"points are {shown(value)}, not a list of [x, y]")
    # By sets, which take a fraction of the time of a loop: an outline may have a million points.
    if value and not (set(map(type, value)) == {list} and set(map(len, value)) == {2}):
        number = next(n for n, point in enumerate(value) if not (isinstance(point, list) and len(point) == 2))
        raise Malformed(f"point {number} is {shown(value[number])}, not [x, y]")
    x, y = zip(*value, strict=True) if value else ((), ())
    return pair_points(list(x), list(y), size)


def pair_points(x: Any, y: Any, size: tuple[int, int]) -> Float[np.ndarray, "n 2"]:
    """The corners of an outline, given as a list of their x and one of their y.

    Args:
        x: Anything.
        y: Anything.
        size: (height, width) of the image, pixels.

    Raises:
        Malformed: They are no lists of as many numbers, or a point lies far outside the image.
    """
    if not (isinstance(x, list) and isinstance(y, list)):
        raise Malformed(f"x are {shown(x)} and y {shown(y)}, not two lists of numbers")
    if len(x) != len(y):
        raise Malformed(f"has {len(x)} x, but {len(y)} y")
    if not x:
        return np.zeros((0, 2))
    points = np.array([read_numbers(x, "x"), read_numbers(y, "y")], float).T
    require_near(points, size)
    return points


def read_numbers(values: Sequence[Any], what: str) -> list[float]:
    """Finite numbers.

    Raises:
        Malformed: There are others.
    """
    numbers: list[float | None] = list(values)
    if not all_finite(values):
        numbers = [finite(value) for value in values]
    if None in numbers:
        number = numbers.index(None)
        raise Malformed(f"{what} of point {number} is {shown(values[number])}, no finite number")
    return [number for number in numbers if number is not None]


def read_number(value: Any, what: str) -> float:
    """A finite number.

    Raises:
        Malformed: It is none; the message calls it `what`.
    """
    number = finite(value)
    if number is None:
        raise Malformed(f"{what} is {shown(value)}, no finite number")
    return number


def require_near(points: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> None:
    """Raises Malformed if points are no pixels of an image: normalised, or outside by more than its longer side."""
    if ((points >= 0) & (points <= 1)).all() and (points % 1).any() and min(size) > 1:
        raise Malformed("coordinates between 0 and 1, as if normalised; multiply them by width and height of the image")
    far = np.flatnonzero(((points < -max(size)) | (points > 2 * max(size))).any(axis=1))
    if len(far):
        x, y = points[far[0]].tolist()
        raise Malformed(
            f"point {far[0]} is ({x:g}, {y:g}), far outside the image of {size[1]}×{size[0]} pixels (width×height)"
        )


def encloses_nothing(points: Float[np.ndarray, "n 2"]) -> bool:
    """Whether there are fewer than three different points."""
    others = points[(points != points[:1]).any(axis=1)]
    return not (others != others[:1]).any()
