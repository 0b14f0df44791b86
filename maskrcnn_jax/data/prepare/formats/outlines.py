"""Outlines filled to the exact pixel: a pixel belongs to an outline if its centre lies in or on it.

Coordinates are continuous: pixel `(0, 0)` covers `[0, 1) × [0, 1)`, its centre is `(0.5, 0.5)`. An annotation whose
points are numbers of pixels must be moved by half a pixel first. COCO's own rasteriser (`frPoly`) works on a grid of a
fifth of a pixel and gives half of the edges away; OpenCV and Pillow draw edges with a pen, which makes objects wider.

Each column is filled from crossing to crossing, and the runs are the result: nothing of the image's size is allocated.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.data.prepare.formats.runs import encode_runs, intervals

ON = 1e-6
"""Pixels: a centre this near to an outline lies on it, since crossings of slanted edges are rounded."""

TOGETHER = 1 << 21
"""Crossings of edges and columns that are computed together, some 100 MiB."""

MOST_CROSSINGS = 1 << 25
"""Crossings that are computed for one outline, some 10 seconds. The outline of an object that fills 10,000 × 10,000
pixels, traced from pixel to pixel, has some 100,000."""


def fill_polygon(points: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> dict[str, Any]:
    """Fills a polygon; what it encloses twice is outside (the even-odd rule).

    Args:
        points: Corners `(x, y)`, n ≥ 1, pixels, finite, closed or not; may leave the image.
        size: (height, width) of the image.

    Returns:
        COCO run-length code over `size`, ready for JSON; of no pixel where no pixel's centre is enclosed.

    Raises:
        ValueError: The outline goes to and fro so often that it is no object's.
    """
    height, width = size
    # The column from which on a corner lies to the left: of the centres moved a hair to the left, and to the right.
    # What a column meets on both sides of its centres is the closed outline, with its upright edges.
    before = np.clip(np.floor(points[:, 0] + ON - 0.5) + 1, 0, width).astype(np.int64)
    after = np.clip(np.ceil(points[:, 0] - ON - 0.5), 0, width).astype(np.int64)
    sides = [before] if (before == after).all() else [before, after]
    crossings = sum(int(np.abs(np.roll(turns, -1) - turns).sum()) for turns in sides)
    if crossings > MOST_CROSSINGS:
        raise ValueError(
            f"an outline of {len(points):,} points that crosses columns of pixels {crossings:,} times, as that of no "
            "object does"
        )
    pieces = []
    for first, last in bands(sides, width):
        filled = [fill_columns(points, np.clip(turns, first, last), height) for turns in sides]
        starts, stops = (np.concatenate(ends) for ends in zip(*filled, strict=True))
        pieces.append(intervals(starts, stops))
    return encode_runs(pieces, size)


def bands(sides: list[Int[np.ndarray, " n"]], width: int) -> Iterator[tuple[int, int]]:
    """Columns that are filled together: the first, and the one behind the last."""
    changes = np.zeros(width + 1, np.int64)
    for turns in sides:
        beside = np.roll(turns, -1)
        np.add.at(changes, np.minimum(turns, beside), 1)
        np.add.at(changes, np.maximum(turns, beside), -1)
    total = np.cumsum(np.cumsum(changes))
    first, done = int(min(turns.min() for turns in sides)), 0
    end = int(max(turns.max() for turns in sides))
    while first < end:
        last = min(max(int(np.searchsorted(total, done + TOGETHER, side="right")), first + 1), end)
        yield first, last
        first, done = last, int(total[last - 1])


def fill_columns(
    points: Float[np.ndarray, "n 2"], turns: Int[np.ndarray, " n"], height: int
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Runs of pixels inside a polygon, counted column by column.

    Args:
        points: Corners `(x, y)`.
        turns: The column from which on each corner lies to the left, cut to the columns that are wanted.
        height: Of the image.

    Returns:
        Where runs start, and where they stop; a run may be empty.
    """
    counts = np.abs(np.roll(turns, -1) - turns)
    edges = np.repeat(np.arange(len(points)), counts)
    behind = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = np.minimum(turns, np.roll(turns, -1))[edges] + behind
    (x0, y0), (x1, y1) = points[edges].T, points[(edges + 1) % len(points)].T
    # An upright edge lies between the two sides of a centre: either end is near enough.
    share = np.clip((columns + 0.5 - x0) / np.where(x1 == x0, 1, x1 - x0), 0, 1)
    crossed = y0 + share * (y1 - y0)
    order = np.lexsort((crossed, columns))
    entered, left, columns = crossed[order[0::2]], crossed[order[1::2]], columns[order[0::2]]
    top, bottom = centres_between(entered, left, height)
    return columns * height + top, columns * height + bottom


def centres_between(low: Any, high: Any, count: int) -> tuple[Any, Any]:
    """The first pixel whose centre is at or above `low`, and the one behind the last that is at or below `high`.

    Args:
        low: Array or number, pixels.
        high: The same.
        count: Pixels that there are.
    """
    first = np.clip(np.ceil(np.asarray(low) - 0.5 - ON), 0, count).astype(np.int64)
    return first, np.maximum(np.clip(np.floor(np.asarray(high) - 0.5 + ON) + 1, 0, count).astype(np.int64), first)


def fill_box(x0: float, y0: float, x1: float, y1: float, size: tuple[int, int]) -> dict[str, Any]:
    """Fills the box between two corners; as `fill_polygon`."""
    height, width = size
    left, right = centres_between(min(x0, x1), max(x0, x1), width)
    top, bottom = centres_between(min(y0, y1), max(y0, y1), height)
    columns = np.arange(left, right) * height
    return encode_runs([intervals(columns + top, columns + bottom)], size)


def fill_ellipse(
    center: tuple[float, float], radii: tuple[float, float], angle: float, size: tuple[int, int]
) -> dict[str, Any]:
    """Fills an ellipse.

    Args:
        center: `(x, y)`, pixels.
        radii: Along the ellipse's own x and y axis, positive, pixels.
        angle: By which these axes are turned clockwise on the screen, radians.
        size: (height, width) of the image.

    Returns:
        COCO run-length code over `size`, ready for JSON.
    """
    height, width = size
    a, b = (max(radius, ON) for radius in radii)
    cos, sin = np.cos(angle), np.sin(angle)
    # (dx cos + dy sin)² / a² + (dy cos - dx sin)² / b² ≤ 1, solved for dy.
    reach = np.hypot(a * cos, b * sin)
    left, right = centres_between(center[0] - reach, center[0] + reach, width)
    dx = np.arange(left, right) + 0.5 - center[0]
    middle = center[1] + dx * cos * sin * (a**2 - b**2) / reach**2
    half = a * b * np.sqrt(np.maximum((1 + ON) * reach**2 - dx**2, 0)) / reach**2
    top, bottom = centres_between(middle - half, middle + half, height)
    columns = np.arange(left, right) * height
    return encode_runs([intervals(columns + top, columns + bottom)], size)
