"""Masks of many objects in a large image: kept as small as the network gives them, pasted when they are looked at."""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple, overload

import jax
import numpy as np
from jaxtyping import Bool, Float, Integer

from maskrcnn_jax.masks.paste import Crop, paste_crop
from maskrcnn_jax.structs import Detections

Window = tuple[int, int, int, int]
"""A part of an image, `(x0, y0, x1, y1)` in whole pixels."""

STRIP = 1024
"""Lines of pixels that are pasted at a time: probabilities take eight times the memory of their mask."""


class Patch(NamedTuple):
    """The mask head's square of probabilities, and its box in the image."""

    probabilities: Float[np.ndarray, "m m"]
    """In [0, 1]."""
    place: Float[np.ndarray, "4"]
    """Its box, pixels of the image, as `paste.snap` returns it."""
    window: Window
    """What the network saw of the image; outside nothing is set."""


class Crops:
    """The masks of an image's objects, 3 kB each however large the image is.

    `crops[i]` is object `i`'s mask as `Crop`, pasted at every access; `crops[indices]` are those of several objects.

    Args:
        patches: One object's each; an object that was seen in parts has several, and its mask is their union.
    """

    def __init__(self, patches: Sequence[tuple[Patch, ...]]) -> None:
        self.patches = tuple(patches)

    def __len__(self) -> int:
        return len(self.patches)

    @overload
    def __getitem__(self, indices: int | np.integer) -> Crop: ...

    @overload
    def __getitem__(self, indices: Integer[np.ndarray, " n"] | Bool[np.ndarray, " n"]) -> "Crops": ...

    def __getitem__(self, indices: int | np.integer | np.ndarray) -> "Crop | Crops":
        if isinstance(indices, np.ndarray):
            return Crops([self.patches[i] for i in np.arange(len(self))[indices]])
        return unite([_paste(patch) for patch in self.patches[indices]])

    def sample(self, row: int, box: Float[np.ndarray, "4"], side: int) -> Bool[np.ndarray, "{side} {side}"]:
        """One mask at `side` × `side` points that are spread evenly over a box, (x0, y0, x1, y1)."""
        samples = np.zeros((side, side), bool)
        corner, scale = np.tile(box[:2], 2), np.tile(side / np.maximum(box[2:] - box[:2], 1e-9), 2)
        for patch in self.patches[row]:
            crop = paste_crop(patch.probabilities, (patch.place - corner) * scale, side, side)
            x0, y0, x1, y1 = np.rint((np.array(patch.window) - corner) * scale).astype(int).tolist()
            top, left = max(y0, crop.y), max(x0, crop.x)
            seen = crop.mask[top - crop.y : max(0, y1 - crop.y), left - crop.x : max(0, x1 - crop.x)]
            samples[top : top + seen.shape[0], left : left + seen.shape[1]] |= seen
        return samples


def as_crop(mask: Bool[np.ndarray, "h w"] | Crop) -> Crop:
    """A mask over the whole image, as `Predictor` gives it by default, as a crop; a crop as it is."""
    return mask if isinstance(mask, Crop) else Crop(mask, 0, 0)


def whole_masks(
    masks: Bool[np.ndarray, "n h w"] | Crops | None, size: tuple[int, int]
) -> Bool[np.ndarray, "n h w"] | None:
    """Masks over the whole image, `size` = (height, width); arrays and None as they are."""
    if not isinstance(masks, Crops):
        return masks
    whole = np.zeros((len(masks), *size), bool)
    for row, target in enumerate(whole):
        crop = masks[row]
        height, width = crop.mask.shape
        target[crop.y : crop.y + height, crop.x : crop.x + width] = crop.mask
    return whole


def select(found: Detections, indices: Integer[np.ndarray, " n"] | Bool[np.ndarray, " d"]) -> Detections:
    """Some of an image's detections, in the order of `indices`; masks may be arrays, `Crops` or None."""
    kept = found._replace(masks=None)
    masks = None if found.masks is None else found.masks[indices]
    return jax.tree.map(itemgetter(indices), kept)._replace(masks=masks)


def unite(crops: Sequence[Crop]) -> Crop:
    """The union of masks, of minimal size."""
    if len(crops) == 1:
        return crops[0]
    crops = [crop for crop in crops if crop.mask.size]
    if not crops:
        return Crop(np.zeros((0, 0), bool), 0, 0)
    top, left = min(crop.y for crop in crops), min(crop.x for crop in crops)
    bottom = max(crop.y + crop.mask.shape[0] for crop in crops)
    right = max(crop.x + crop.mask.shape[1] for crop in crops)
    union = np.zeros((bottom - top, right - left), bool)
    for crop in crops:
        height, width = crop.mask.shape
        union[crop.y - top : crop.y - top + height, crop.x - left : crop.x - left + width] |= crop.mask
    return Crop(union, top, left)


def _paste(patch: Patch) -> Crop:
    x0, y0, x1, y1 = patch.window
    strips = []
    for top in range(y0, y1, STRIP):
        place = patch.place - np.array([x0, top, x0, top], patch.place.dtype)
        crop = paste_crop(patch.probabilities, place, min(STRIP, y1 - top), x1 - x0)
        if crop.mask.size:
            strips.append(Crop(crop.mask, crop.y + top, crop.x + x0))
    return unite(strips)
