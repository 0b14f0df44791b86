"""The placement of an image on its padded canvas, applied alike to the image, its boxes and its masks."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from maskrcnn_jax.data.transforms.buckets import Bucket, resized_sizes
from maskrcnn_jax.data.transforms.resize import ImageArray, resize
from maskrcnn_jax.ops.images import Interpolation


class Placement(NamedTuple):
    """How an image is placed on the padded canvas: resized, cropped to a window, rotated, mirrored, positioned."""

    original: tuple[int, int]
    """(height, width) as stored, pixels."""
    resized: tuple[int, int]
    """(height, width) after resizing, pixels."""
    offset: tuple[int, int]
    """(y, x) of the window's corner in the resized image."""
    window: tuple[int, int]
    """(height, width) of the part that is kept, pixels."""
    flip: bool
    """Whether the window is mirrored, left and right exchanged, after it was rotated."""
    origin: tuple[int, int] = (0, 0)
    """(y, x) of the upper left corner on the canvas."""
    turns: int = 0
    """Quarter turns of the window, counterclockwise, in 0 … 3."""

    @property
    def shown(self) -> tuple[int, int]:
        """(height, width) of the rotated window, pixels."""
        return self.window[::-1] if self.turns % 2 else self.window


def whole(size: tuple[int, int], resized: tuple[int, int], flip: bool) -> Placement:
    """Keeps the whole resized image."""
    return Placement(size, resized, (0, 0), resized, flip)


def center(placement: Placement, canvas: tuple[int, int]) -> Placement:
    """Puts the window in the middle of the canvas; of an odd remainder more is left at the right and bottom."""
    (height, width), (shown_height, shown_width) = canvas, placement.shown
    return placement._replace(origin=((height - shown_height) // 2, (width - shown_width) // 2))


def shortest_edge_placement(size: tuple[int, int], shortest_edge: int, longest_edge: int, flip: bool) -> Placement:
    """Resizes so that the shorter side is `shortest_edge` and the longer at most `longest_edge`; keeps everything."""
    height, width = resized_sizes(np.array([size]), shortest_edge, longest_edge)[0].tolist()
    return whole(size, (height, width), flip)


def resized_window(placement: Placement, window: tuple[int, int]) -> Placement:
    """Resizes so that the window gets a size, (height, width); its content stays the same up to rounding."""
    height, width = (
        window[axis]
        if placement.window[axis] == placement.resized[axis]
        else max(round(placement.resized[axis] * window[axis] / placement.window[axis]), window[axis])
        for axis in (0, 1)
    )
    top, left = (
        min(round(placement.offset[axis] * window[axis] / placement.window[axis]), whole_side - window[axis])
        for axis, whole_side in enumerate((height, width))
    )
    return placement._replace(resized=(height, width), offset=(top, left), window=window)


def cropped(placement: Placement, offset: tuple[int, int], window: tuple[int, int]) -> Placement:
    """Crops the window to a smaller one, (height, width), whose corner is at `offset`, (y, x), in it."""
    top, left = (before + more for before, more in zip(placement.offset, offset, strict=True))
    return placement._replace(offset=(top, left), window=window)


def pixel_scale(placement: Placement) -> tuple[float, float]:
    """`(x, y)`: resized pixels per stored pixel."""
    (height, width), (old_height, old_width) = placement.resized, placement.original
    return width / old_width, height / old_height


def place_image(
    image: UInt8[np.ndarray, "h w 3"], placement: Placement, bucket: Bucket, interpolation: Interpolation = "rounded"
) -> ImageArray:
    """Resizes, crops, rotates, mirrors and zero-pads an image."""
    resized = resize(image, placement.resized, interpolation)
    (top, left), (height, width) = placement.offset, placement.window
    (y, x), (shown_height, shown_width) = placement.origin, placement.shown
    seen = np.rot90(resized[top : top + height, left : left + width], placement.turns)
    canvas = np.zeros((*bucket, 3), resized.dtype)
    target = canvas[y : y + shown_height, x : x + shown_width]
    if placement.flip:
        cv2.flip(np.ascontiguousarray(seen) if placement.turns else seen, 1, dst=target)
    else:
        target[:] = seen
    return canvas


def place_boxes(boxes: Float[np.ndarray, "n 4"], placement: Placement) -> Float32[np.ndarray, "n 4"]:
    """Carries boxes from the stored image to the canvas, not clipped."""
    corners = boxes.reshape(-1, 2, 2) * pixel_scale(placement) - placement.offset[::-1]
    sides = placement.window
    for _ in range(placement.turns):  # A turn takes (x, y) to (y, width - x).
        low, high = corners[:, 0].copy(), corners[:, 1].copy()
        corners[:, 0] = np.stack([low[:, 1], sides[1] - high[:, 0]], axis=1)
        corners[:, 1] = np.stack([high[:, 1], sides[1] - low[:, 0]], axis=1)
        sides = sides[::-1]
    if placement.flip:
        corners[..., 0] = sides[1] - corners[:, ::-1, 0]
    return (corners + placement.origin[::-1]).reshape(-1, 4).astype(np.float32)


def visible_region(placement: Placement) -> Float[np.ndarray, "4"]:
    """The window `(x0, y0, x1, y1)` in pixels of the stored image."""
    scale = np.array(pixel_scale(placement))
    start = placement.offset[::-1] / scale
    stop = np.minimum(start + placement.window[::-1] / scale, placement.original[::-1])
    return np.concatenate([start, stop])
