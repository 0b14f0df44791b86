"""From the mask head's small square of probabilities to a mask over the original image."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

PasteRule = Literal["exact", "outward", "rounded"]


class Crop(NamedTuple):
    """The part of a mask that may be set; outside it the mask is empty."""

    mask: np.ndarray
    """`[h, w]` bool; pasted ones are stored column by column."""
    y: int
    """First row of the image that `mask` covers."""
    x: int
    """First column."""


def snap(boxes: Float[np.ndarray, "n 4"], side: int, rule: PasteRule) -> Float[np.ndarray, "n 4"]:
    """Adjusts boxes to where a system pastes the masks.

    Args:
        boxes: (x0, y0, x1, y1), pixels of the image.
        side: Cells of the masks along a side.
        rule: See `MaskHead.paste`.

    Returns:
        Boxes for `paste_mask`. A box that is not empty keeps at least a pixel with "outward"; with "rounded" it may
        become empty, and then so is its mask.

    Source: torchvision `paste_masks_in_image` ("outward"), Matterport `unmold_detections` ("rounded").
    """
    if rule == "exact":
        return boxes
    if rule == "rounded":
        return np.rint(boxes)
    # torchvision frames the mask with a row of empty cells, grows the box to hold them and cuts its corners, the last
    # pixel's included, to whole numbers. In float32 like there, or a corner close to one is cut elsewhere.
    start, end = boxes[:, :2].astype(np.float32), boxes[:, 2:].astype(np.float32)
    middle, half = (start + end) * 0.5, (end - start) * 0.5 * ((side + 2) / side)
    first, last = np.trunc(middle - half).astype(np.float64), np.trunc(middle + half).astype(np.float64)
    cell = (last + 1 - first) / (side + 2)
    return np.concatenate([first + cell, last + 1 - cell], axis=1)


def paste_mask(
    mask: Float[np.ndarray, "m m"], box: Float[np.ndarray, "4"], height: int, width: int, threshold: float = 0.5
) -> Bool[np.ndarray, "height width"]:
    """Samples a mask at the centres of the image's pixels and cuts it at a threshold.

    Args:
        mask: Probabilities over the box, in [0, 1].
        box: (x0, y0, x1, y1), pixels of the image; it may reach beyond it.
        height: Of the image, pixels.
        width: Of the image, pixels.
        threshold: A pixel is set from this probability on; above 0.

    Returns:
        The mask over the image; empty for a box without area, outside the image, or with a coordinate that is not
        finite.

    Source: Detectron2 `paste_masks_in_image` (grid_sample, align_corners=False, zero padding).
    """
    full = np.zeros((height, width), bool)
    crop = paste_crop(mask, box, height, width, threshold)
    bottom, right = crop.y + crop.mask.shape[0], crop.x + crop.mask.shape[1]
    full[crop.y : bottom, crop.x : right] = crop.mask
    return full


def paste_crop(
    mask: Float[np.ndarray, "m m"], box: Float[np.ndarray, "4"], height: int, width: int, threshold: float = 0.5
) -> Crop:
    """What `paste_mask` returns, without the empty rest of the image."""
    side = len(mask)
    x0, y0, x1, y1 = (float(value) for value in box)
    if not (np.isfinite(box).all() and x1 > x0 and y1 > y0):
        return Crop(np.zeros((0, 0), bool), 0, 0)
    framed = np.zeros((side + 3, side + 3), np.float32)
    framed[1:-2, 1:-2] = mask
    top, row, lower = _cells(y0, y1, height, side)
    left, column, right = _cells(x0, x1, width, side)
    # Two cells per pixel and axis. As products of matrices they would start a thread per core for a fraction of a
    # millisecond, while the cores have a network to run.
    lines = framed[row] * (1 - lower) + framed[row + 1] * lower
    # Transposed: indexing the first axis is fast, and COCO's code counts down the columns.
    cells = np.ascontiguousarray(lines.T)
    values, others = cells[column], cells[column + 1]
    values *= 1 - right
    others *= right
    values += others
    return Crop((values >= threshold).T, top, left)


def _cells(start: float, end: float, size: int, side: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Bilinear interpolation along one axis.

    The mask's cell k has its centre at k + ½ of `side`; between the centre of an outer cell and half a cell beyond the
    box the weight falls to zero, as outside the mask there are zeros.

    Args:
        start: Where the box begins, pixels.
        end: Where it ends, beyond `start`.
        size: Of the image, pixels.
        side: Cells of the mask.

    Returns:
        The first pixel with weight; for it and those after it the cell before their centre, counted from the zeros
        around the mask, `[pixels]` int, and the weight of the next cell, `[pixels, 1]` float32.
    """
    cells_per_pixel = side / (end - start)
    margin = 0.5 / cells_per_pixel
    first = int(min(max(start - margin, 0), size))
    last = int(min(max(math.ceil(end + margin), first), size))
    position = np.clip((np.arange(first, last) + 0.5 - start) * cells_per_pixel + 0.5, 0, side + 1)
    cell = position.astype(int)
    return first, cell, (position - cell).astype(np.float32)[:, None]
