"""Kinds of mask images: numbered objects, or one object each, also with soft edges or as transparency."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Integer, Shaped, UInt8

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.prepare.formats.label_image import SOFT, are_soft, numbers
from maskrcnn_jax.data.prepare.formats.mask_pixels import MaskPixels, border, brightest, has_only, read_pixels
from maskrcnn_jax.data.prepare.formats.soft_edges import NEAR, ODD_SHARE, has_two_levels

Note = Callable[[str], None]
"""Receives warnings on how a mask was read."""

WHITE = 255
NEARLY_WHITE = 0.98
"""Share of white that JPEG and smoothing leave, at least."""

ALL_IN_ONE = "took each mask of 0 and 255 alone for one object; number the objects 1, 2, … if there are more"
SOFTLY_ALL_IN_ONE = (
    "took each mask whose values run softly from 0 to 255 for one object, from half the range on; number the objects "
    "1, 2, … if there are more, and scale masks with the nearest neighbour only"
)
HALF_RANGE = "took masks with soft edges from half the range on; write 255 for the object and 0 elsewhere"
TRANSPARENCY = "took the shape of masks of one colour from their transparency"
DARKER_BACKGROUND = "took the darker of the two values of masks without black for the background"
EVERYTHING = "masks that cover their whole image"
WHOLE_BORDER = (
    "masks whose object fills the image's whole border and leaves a hole; if it is the background, write 0 for that"
)
VOID = "masks with a number 255 apart from the others, taken for an object; write 0 if it marks what belongs to none"


def read_numbered_mask(path: Path, note: Note) -> Integer[np.ndarray, "H W"]:
    """Reads numbers of objects, or a single object that is white with soft edges or transparency.

    Raises:
        OSError: The file cannot be read.
        BrokenImage: It is no image, its pixels are no numbers of objects, or nothing tells which is the background.
    """
    pixels = coloured(read_pixels(path), note)
    labels = numbers(pixels, path)
    high = int(labels.max())
    if are_soft(pixels, labels):
        if high < NEARLY_WHITE * white_of(labels.dtype) or not has_two_levels(labels, 0, high):
            raise BrokenImage(f"{path}: {SOFT}")
        note(SOFTLY_ALL_IN_ONE)
        labels = (labels >= high / 2).astype(np.uint8)
    elif high == WHITE and has_only(labels, 0, high):
        note(ALL_IN_ONE)
    warn_of_background(labels, path, note)
    return labels


def warn_of_background(labels: Integer[np.ndarray, "H W"], path: Path, note: Note) -> None:
    """Notes numbers that may be the background's.

    Raises:
        BrokenImage: No pixel is 0, and one number surrounds others.
    """
    if has_gap_below_white(labels):
        note(VOID)
    edge = border(labels)
    if (edge == 0).any() or (edge != edge[0]).any():
        return
    if has_only(labels, int(edge[0])):
        note(EVERYTHING)
    elif (labels == 0).any():
        note(WHOLE_BORDER)
    else:
        raise BrokenImage(
            f"{path}: no pixel is 0, which is the background, and number {edge[0]} surrounds the others; write 0 where "
            "no object is"
        )


def has_gap_below_white(labels: Integer[np.ndarray, "H W"]) -> bool:
    """Whether 255 is a number, 254 is none, and there are lower ones: in Pascal VOC it belongs to no object."""
    if labels.max() != WHITE or (labels == WHITE - 1).any():
        return False
    return not has_only(labels, 0, WHITE)


def read_object_mask(path: Path, note: Note) -> UInt8[np.ndarray, "H W"]:
    """Reads the mask of one object, in {0, 1}: the brighter of two values, or every value that is not black.

    Raises:
        OSError: The file cannot be read.
        BrokenImage: It is no image, or does not show one object.
    """
    pixels = coloured(read_pixels(path), note)
    values = brightness(pixels)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise BrokenImage(f"{path}: has values that are no finite numbers; write 255 for the object and 0 elsewhere")
    if low == high:
        if high not in (0, white_of(values.dtype)):
            raise BrokenImage(f"{path}: is {high:g} everywhere; write 255 for the object and 0 elsewhere")
        mask = values != 0
        if high:
            note(EVERYTHING)
        return mask.astype(np.uint8)
    mask = values == high
    if not has_only(values, low, high):
        if not has_two_levels(values, low, high):
            raise BrokenImage(
                f"{path}: has values between {low:g} and {high:g} that are no soft edge of one object; write 255 for "
                "the object and 0 elsewhere"
            )
        mask = values >= (low + high) / 2
        note(HALF_RANGE)
    hidden = pixels.alpha is not None and np.count_nonzero(mask & (pixels.alpha < pixels.alpha.max() / 2))
    if hidden > ODD_SHARE * np.count_nonzero(mask):
        raise BrokenImage(
            f"{path}: its colours and its transparency show different shapes; write it without the latter"
        )
    edge = border(mask)
    if low > NEAR * high and np.count_nonzero(edge) * 2 > edge.size:
        raise BrokenImage(
            f"{path}: has no black, and its brighter value {high:g} fills most of the border, so that nothing tells "
            "which is the background; write 255 for the object and 0 elsewhere"
        )
    if low > 0 and not pixels.is_lossy:
        note(DARKER_BACKGROUND)
    if edge.all():
        note(WHOLE_BORDER)
    return mask.astype(np.uint8)


def white_of(dtype: np.dtype) -> int:
    """The largest value of an image of 8 or 16 bits; 1 of others."""
    return int(np.iinfo(dtype).max) if dtype in (np.uint8, np.uint16) else 1


def brightness(pixels: MaskPixels) -> Shaped[np.ndarray, "H W"]:
    """How bright each pixel is: its value, or the largest of its colour, if a palette's colours differ at all."""
    values = pixels.values
    if pixels.palette is not None:
        colours = pixels.palette.max(axis=-1)[np.minimum(values, len(pixels.palette) - 1)]
        return colours if colours.min() < colours.max() else values
    return brightest(values) if values.ndim == 3 else values


def coloured(pixels: MaskPixels, note: Note) -> MaskPixels:
    """Takes the transparency in place of colours that are the same everywhere."""
    alpha = pixels.alpha
    if alpha is None or alpha.min() == alpha.max() or (pixels.values != pixels.values[0, 0]).any():
        return pixels
    note(TRANSPARENCY)
    return pixels._replace(values=alpha, alpha=None, palette=None)
