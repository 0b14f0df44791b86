"""Images whose pixels are numbers of objects."""

from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as library
from jaxtyping import Integer

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.prepare.formats.mask_pixels import MaskPixels, brightest, darkest, has_only, read_pixels
from maskrcnn_jax.data.prepare.formats.soft_edges import has_soft_edges

COLOURED = "its pixels are colours; write one number per object, in an 8-bit or 16-bit gray or palette image"
SOFT = (
    "its objects have soft edges, whose values are no numbers of objects; write the mask as PNG, and scale it with the "
    "nearest neighbour only"
)

NEARLY_GRAY = 16
"""Difference of colour channels that lossy compression leaves of gray."""


def read_label_image(path: Path) -> Integer[np.ndarray, "H W"]:
    """Reads the numbers of objects: gray values of 8, 16 or 32 bits, or indices into a palette, never its colours.

    Raises:
        OSError: The file cannot be read.
        BrokenImage: It is no image, or its pixels are no numbers of objects.
    """
    pixels = read_pixels(path)
    labels = numbers(pixels, path)
    if are_soft(pixels, labels):
        raise BrokenImage(f"{path}: {SOFT}")
    return labels


def numbers(pixels: MaskPixels, path: Path) -> Integer[np.ndarray, "H W"]:
    """The whole numbers that pixels are.

    Raises:
        BrokenImage: They are colours or no whole numbers.
    """
    values = pixels.values
    if values.ndim == 3:
        spread = int((brightest(values) - darkest(values)).max())
        if spread > (NEARLY_GRAY if pixels.is_lossy else 0):
            raise BrokenImage(f"{path}: {COLOURED}")
        values = values[..., 1]
    if values.dtype == bool:
        return values.view(np.uint8)
    if not np.issubdtype(values.dtype, np.integer):
        raise BrokenImage(f"{path}: its pixels are no whole numbers; write 8-bit or 16-bit numbers")
    return values


def are_soft(pixels: MaskPixels, labels: Integer[np.ndarray, "H W"]) -> bool:
    """Whether numbers are values of soft edges, or of a JPEG, in which none but black and white are reliable."""
    high = int(labels.max())
    if has_only(labels, 0, high):
        return pixels.is_jpeg and high not in (0, 255)
    return pixels.is_jpeg or has_soft_edges(labels)


def object_masks(labels: Integer[np.ndarray, "H W"]) -> dict[int, dict[str, Any]]:
    """The run-length code of every number's pixels, all in one pass; 0 is background.

    Returns:
        Number → compressed COCO run-length code, ready for JSON, by number.
    """
    column_wise = labels.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(column_wise)) + 1])
    stops = np.append(starts[1:], column_wise.size)
    values = column_wise[starts]
    masks = {}
    for number in np.unique(values[values != 0]).tolist():
        mine = values == number
        borders = np.stack([starts[mine], stops[mine]], axis=1).ravel()
        if borders[-1] < column_wise.size:
            borders = np.append(borders, column_wise.size)
        counts = np.diff(borders, prepend=0)
        coded = library.frPyObjects({"size": list(labels.shape), "counts": counts.tolist()}, *labels.shape)
        masks[number] = coded | {"counts": coded["counts"].decode("ascii")}
    return masks
