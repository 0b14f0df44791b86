"""The values of an image that is a mask, as they are stored."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ImageFile

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.file_kind import AVIF, JPEG, JPEG_2000, TIFF, WEBP
from maskrcnn_jax.data.images.orientation import stored
from maskrcnn_jax.data.images.pillow_image import opened, orientation_of
from maskrcnn_jax.files.reading import read_bytes

LOSSY = (JPEG, WEBP, AVIF, JPEG_2000)
"""Kinds of file that may change values a little."""

AS_STORED = ("1", "L", "P", "RGB", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
WITH_ALPHA = ("LA", "PA", "RGBA")
"""Pillow's names of images whose values are taken as they are; others become RGB."""


class MaskPixels(NamedTuple):
    """The content of a mask file."""

    values: np.ndarray
    """`[H, W]` numbers or bool, or `[H, W, 3]` uint8 colours."""
    alpha: np.ndarray | None
    """`[H, W]` uint8, or None without transparency."""
    palette: np.ndarray | None
    """`[n, 3]` uint8: the colours that `values` are indices of, or None."""
    is_jpeg: bool
    is_lossy: bool
    """Whether the kind of file may change values a little."""


def read_pixels(path: Path) -> MaskPixels:
    """Reads a mask's values in the stored raster.

    Raises:
        BrokenImage: It is no image that can be read, or has colours of 16 bits, of which Pillow drops half.
        OSError: The file cannot be read.
    """
    data = read_bytes(path)
    with opened(data, str(path)) as (kind, image):
        orientation = orientation_of(data, kind, image) if kind == TIFF else 1
        if not image.mode.startswith("I") and ";16" in str([tile.args for tile in image.tile]):
            raise BrokenImage(f"{path}: has colours of 16 bits; write gray values of 8 or 16 bits")
        values, alpha, palette = split(image)
    if orientation != 1:  # Pillow turns a TIFF by itself.
        values, alpha = stored(values, orientation), None if alpha is None else stored(alpha, orientation)
    return MaskPixels(values, alpha, palette, kind == JPEG, kind in LOSSY)


def split(image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Values, transparency and palette of an image."""
    image.load()
    if image.mode in WITH_ALPHA:
        pixels = np.asarray(image)
        values, alpha = pixels[..., :-1], pixels[..., -1]
        values = values[..., 0] if values.shape[-1] == 1 else values
    else:
        values, alpha = np.asarray(image if image.mode in AS_STORED else image.convert("RGB")), None
    colours = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    return values, alpha, None if not colours else np.array(colours, np.uint8).reshape(-1, 3)


def border(values: np.ndarray) -> np.ndarray:
    """The values along the four sides of `[H, W]`."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def brightest(colours: np.ndarray) -> np.ndarray:
    """The largest of each pixel's three colours; by channels, as NumPy takes ten times as long over the last axis."""
    return np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])


def darkest(colours: np.ndarray) -> np.ndarray:
    """The smallest of each pixel's three colours."""
    return np.minimum(np.minimum(colours[..., 0], colours[..., 1]), colours[..., 2])


def has_only(values: np.ndarray, *wanted: float) -> bool:
    """Whether all values are some of a few; looks at a part at a time, as masks of slides fill the memory."""
    parts = np.array_split(values, max(1, values.size >> 24))
    return all(np.logical_or.reduce([part == one for one in wanted]).all() for part in parts)
