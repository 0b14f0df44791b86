"""Ground-truth masks at a fixed size: each object's mask, sampled over a box."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8


def crop_mask(mask: UInt8[np.ndarray, "H W"], box: Float[np.ndarray, "4"], size: int) -> UInt8[np.ndarray, "M M"]:
    """Samples a mask over a box at `size` × `size` cells.

    Bilinear where the mask is enlarged, area means where it is reduced; cells that are at least half inside are set.
    A pixel is a square: pixel `(0, 0)` covers `[0, 1) × [0, 1)`.

    Args:
        mask: `[H, W]` in {0, 1}.
        box: `(x0, y0, x1, y1)` in pixels of the mask, fractional, inside the image, of positive size.
        size: Side `M` of the result.

    Returns:
        `[M, M]` uint8 in {0, 1}. Where the mask has a pixel in the box but fills no cell by half (a thin part of a
        large object), the fullest cells are set; all zero only if the mask has no pixel in the box.
    """
    x0, y0, x1, y1 = box.astype(np.float64)
    # One pixel more on each side, so that interpolation uses the box's true neighbours.
    left, top = max(int(x0) - 1, 0), max(int(y0) - 1, 0)
    region = mask[top : int(np.ceil(y1)) + 1, left : int(np.ceil(x1)) + 1] * np.uint8(255)
    # Several samples per cell and axis when a cell is larger than a pixel; their mean is the area covered.
    width, height = (size * max(1, int(np.ceil(side / size))) for side in (x1 - x0, y1 - y0))
    step_x, step_y = (x1 - x0) / width, (y1 - y0) / height
    to_region = np.array(
        [[step_x, 0, x0 - left + step_x / 2 - 0.5], [0, step_y, y0 - top + step_y / 2 - 0.5]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    samples = cv2.warpAffine(region, to_region, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    cells = samples if width == height == size else cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)
    return (cells >= min(128, max(1, int(cells.max())))).astype(np.uint8)
