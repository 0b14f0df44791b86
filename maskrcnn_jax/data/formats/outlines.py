"""Outlines filled to the exact pixel: a pixel belongs to an outline if its centre lies in or on it.

Coordinates are continuous: pixel `(0, 0)` covers `[0, 1) × [0, 1)`, its centre is `(0.5, 0.5)`. An annotation whose
points are numbers of pixels must be moved by half a pixel first. COCO's own rasteriser (`frPoly`) works on a grid of a
fifth of a pixel and gives half of the edges away; OpenCV and Pillow draw edges with a pen, which makes objects wider.
"""

import numpy as np
from jaxtyping import Float, UInt8

ON = 1e-6
"""Pixels: a centre this near to an outline lies on it, since crossings of slanted edges are rounded."""


def fill_polygon(points: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Fills a polygon; what it encloses twice is outside (the even-odd rule).

    Args:
        points: Corners `(x, y)`, n ≥ 1, pixels, closed or not; may leave the picture.
        size: (height, width) of the picture.

    Returns:
        `[H, W]` in {0, 1}, all zero where no pixel's centre is enclosed.
    """
    height, width = size
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    first = int(np.clip(np.ceil(low.min() - 0.5 - ON), 0, height))
    last = int(np.clip(np.floor(high.max() - 0.5 + ON), -1, height - 1))
    centres = np.arange(first, last + 1)[:, None] + 0.5
    with np.errstate(divide="ignore", invalid="ignore"):  # Level edges cross no row.
        crossings = x0 + (centres - y0) * ((x1 - x0) / (y1 - y0))
    mask = np.zeros(size, np.uint8)
    # What a row meets just above and just below its centre: together these are the closed outline, with level edges.
    above = (low < centres - ON) & (centres - ON <= high)
    below = (low <= centres + ON) & (centres + ON < high)
    for met in (above, below):
        ordered = np.sort(np.where(met, crossings, np.inf), axis=1)
        entered, left = ordered[:, 0:-1:2], ordered[:, 1::2]
        row, pair = np.nonzero(np.isfinite(left))
        start = np.clip(np.ceil(entered[row, pair] - 0.5 - ON), 0, width).astype(int)
        stop = np.clip(np.floor(left[row, pair] - 0.5 + ON) + 1, 0, width).astype(int)
        inside = start < stop
        steps = np.zeros((len(centres), width + 1), np.int32)
        np.add.at(steps, (row[inside], start[inside]), 1)
        np.add.at(steps, (row[inside], stop[inside]), -1)
        mask[first : last + 1] |= np.cumsum(steps, axis=1)[:, :-1] > 0
    return mask


def fill_box(x0: float, y0: float, x1: float, y1: float, size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Fills the box between two corners; as `fill_polygon`."""
    return fill_polygon(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float), size)


def fill_ellipse(
    center: tuple[float, float], radii: tuple[float, float], angle: float, size: tuple[int, int]
) -> UInt8[np.ndarray, "H W"]:
    """Fills an ellipse.

    Args:
        center: `(x, y)`, pixels.
        radii: Along the ellipse's own x and y axis, positive, pixels.
        angle: By which these axes are turned clockwise on the screen, radians.
        size: (height, width) of the picture.

    Returns:
        `[H, W]` in {0, 1}.
    """
    y, x = np.ogrid[0.5 : size[0], 0.5 : size[1]]
    dx, dy = x - center[0], y - center[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return ((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1 + ON).astype(np.uint8)
