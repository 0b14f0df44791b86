"""Masks as training keeps them, cropped to their boxes, beside the full ones."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.masks import crop_mask
from maskrcnn_jax.inspect.tiles import Tile, tile_figure
from maskrcnn_jax.masks.paste import paste_mask

OBJECTS = 7
"""Whose crops are shown, at most."""
BOTH, FULL_ONLY, CROP_ONLY = (190, 190, 190), (213, 94, 0), (86, 180, 233)
"""RGB of pixels that lie in both masks, or in one alone."""


def mask_crops(example: Example, size: int) -> list[UInt8[np.ndarray, "{size} {size}"]]:
    """Every object's mask as training keeps it: its box alone, sampled at `size` × `size` cells."""
    return [crop_mask(mask, box, size) for mask, box in zip(example.masks, example.boxes, strict=True)]


def crop_overlaps(example: Example, crops: Sequence[UInt8[np.ndarray, "m m"]]) -> Float[np.ndarray, " n"]:
    """IoU of every mask with its crop put back at full size; 1 where both are empty."""
    restored = (_restore(example, crop, k) for k, crop in enumerate(crops))
    pairs = ((mask > 0, back) for mask, back in zip(example.masks, restored, strict=True))
    return np.array([np.sum(a & b) / max(np.sum(a | b), 1) if (a | b).any() else 1.0 for a, b in pairs])


def crops_figure(example: Example, crops: Sequence[UInt8[np.ndarray, "m m"]], class_names: Sequence[str]) -> Figure:
    """The largest objects: picture, full mask, crop, and where the crop, put back at full size, differs.

    Args:
        example: from an `ImageSource`, with at least one object.
        crops: of its masks; see `mask_crops`.
        class_names: one per label.
    """
    sides = example.boxes[:, 2:] - example.boxes[:, :2]
    largest = np.argsort(-sides.prod(axis=1), kind="stable")[:OBJECTS].tolist()
    overlaps = crop_overlaps(example, crops)
    tiles: list[list[Tile]] = [[], [], [], []]
    for k in largest:
        (left, top), (right, bottom) = np.floor(example.boxes[k, :2]), np.ceil(example.boxes[k, 2:])
        window = slice(int(top), int(bottom)), slice(int(left), int(right))
        mask, back = example.masks[k][window] > 0, _restore(example, crops[k], k)[window]
        tiles[0].append(Tile(example.image[window], class_names[example.labels[k]]))
        tiles[1].append(Tile(_gray(mask), f"{mask.shape[0]} × {mask.shape[1]}"))
        tiles[2].append(Tile(_gray(crops[k] > 0), f"{len(crops[k])} × {len(crops[k])}"))
        tiles[3].append(Tile(_difference(mask, back), f"IoU {overlaps[k]:.3f}"))
    return tile_figure(tiles, ("picture", "full mask", "crop", "crop put back:\norange is lost,\nblue is added"))


def _restore(example: Example, crop: np.ndarray, k: int) -> Bool[np.ndarray, "H W"]:
    height, width = example.image.shape[:2]
    return paste_mask(crop.astype(np.float32), example.boxes[k], height, width)


def _gray(mask: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    return mask[..., None] * np.array(BOTH, np.uint8)


def _difference(mask: np.ndarray, back: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    picture = np.zeros((*mask.shape, 3), np.uint8)
    for pixels, color in ((mask & back, BOTH), (mask & ~back, FULL_ONLY), (back & ~mask, CROP_ONLY)):
        picture[pixels] = color
    return picture
