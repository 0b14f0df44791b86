"""Images whose pixels are numbers of objects, and images that show one object."""

from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as library
from jaxtyping import Integer, UInt8
from PIL import Image

COLOURED = "its pixels are colours; write one number per object, in an 8-bit or 16-bit gray or palette image"


def read_label_image(path: Path) -> Integer[np.ndarray, "H W"]:
    """Reads the numbers of objects: gray values of 8, 16 or 32 bits, or places in a palette, never its colours.

    Raises:
        OSError, SyntaxError: No image can be read.
        ValueError: Its pixels are no numbers.
    """
    pixels = read_pixels(path)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise ValueError(COLOURED)
        pixels = pixels[..., 0]
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError("its pixels are no whole numbers; write 8-bit or 16-bit numbers")
    return pixels


def read_object_image(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Reads the mask of one object, in {0, 1}: whatever is not black, opaque or not.

    Raises:
        OSError, SyntaxError, ValueError: No image can be read.
    """
    pixels = read_pixels(path) != 0
    return (pixels.any(axis=-1) if pixels.ndim == 3 else pixels).astype(np.uint8)


def read_pixels(path: Path) -> np.ndarray:
    """An image's values as stored, `[H, W]` or `[H, W, colours]`, without transparency."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
        return pixels[..., :-1] if image.mode in ("LA", "PA", "RGBA") else pixels


def object_masks(labels: Integer[np.ndarray, "H W"]) -> dict[int, dict[str, Any]]:
    """The run-length code of every number's pixels, all in one pass; 0 is background.

    Returns:
        Number → compressed COCO run-length code, ready for JSON, by number.
    """
    column_wise = labels.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(column_wise)) + 1])
    stops = np.append(starts[1:], column_wise.size)
    numbers = column_wise[starts]
    masks = {}
    for number in np.unique(numbers[numbers != 0]).tolist():
        mine = numbers == number
        borders = np.stack([starts[mine], stops[mine]], axis=1).ravel()
        if borders[-1] < column_wise.size:
            borders = np.append(borders, column_wise.size)
        counts = np.diff(borders, prepend=0)
        coded = library.frPyObjects({"size": list(labels.shape), "counts": counts.tolist()}, *labels.shape)
        masks[number] = coded | {"counts": coded["counts"].decode("ascii")}
    return masks
