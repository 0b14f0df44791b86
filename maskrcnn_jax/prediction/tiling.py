"""Prediction on images much larger than the network's input: in overlapping tiles, at several scales."""

import math
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.masks.lazy_masks import Window, select
from maskrcnn_jax.ops.images import InputConfig
from maskrcnn_jax.prediction.images import load_image
from maskrcnn_jax.prediction.merge_tiles import MIN_SCORE_RATIO, TileDetections, gather, join
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.prediction.result import Result
from maskrcnn_jax.structs import Detections

OVERLAP = 0.25
"""Share of a tile's side that overlaps with the next tile."""


def tile(size: tuple[int, int], shape: tuple[int, int], overlap: float = OVERLAP) -> list[Window]:
    """Covers an image with evenly spaced windows of one size, row by row.

    Args:
        size: (height, width) of the image, pixels.
        shape: (height, width) of a window; cut to the image.
        overlap: Share of a window's side that it has in common with the next, at least; in [0, 1).

    Raises:
        ValueError: A window has no pixels, or the overlap is not in [0, 1).
    """
    if min(shape) < 1 or not 0 <= overlap < 1:
        raise ValueError(f"tiles of {shape} pixels, overlap {overlap}: give positive sides, an overlap in [0, 1)")
    tops, lefts = (_starts(whole, side, overlap) for whole, side in zip(size, shape, strict=True))
    height, width = min(shape[0], size[0]), min(shape[1], size[1])
    return [(x, y, x + width, y + height) for y in tops for x in lefts]


def native_shape(config: InputConfig) -> tuple[int, int]:
    """(height, width) of the largest image that a network takes without downscaling."""
    return (config.longest_edge if config.enlarge_only else config.shortest_edge), config.longest_edge


def predict_tiled(
    predictor: Predictor,
    image: Any,
    *,
    shape: tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    min_score: float = 0.0,
) -> Result:
    """Detects small and large objects in an image of any size.

    The image is divided into overlapping tiles; then again at half its size, a quarter, …, until it fits one tile,
    which takes a third more time. An object that a tile cuts is found once: whole in another tile, or merged from its
    parts. Memory grows with the pixels of the image and 4 kB per object.

    Args:
        predictor: Detects in the tiles.
        image: A path, URL, Pillow image or array, as for `Predictor`.
        shape: (height, width) of a tile, pixels; by default the network's own. Smaller tiles are enlarged, which
            helps with very small objects.
        overlap: Share of a tile's side that overlaps with the next tile.
        min_score: Detections below are left out.

    Returns:
        Objects in the image's pixels, best first. There may be more than the network finds in one image.

    Raises:
        ValueError: `image` is no image, a tile has no pixels, or the overlap is not in [0, 1).
        OSError: A file or URL cannot be read.
    """
    loaded = load_image(image, "image")
    found = detect_tiled(predictor, loaded.pixels, shape=shape, overlap=overlap, min_score=min_score)
    return Result(*loaded, found, predictor.class_names)


def detect_tiled(
    predictor: Predictor,
    image: UInt8[np.ndarray, "h w 3"],
    *,
    shape: tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    min_score: float = 0.0,
) -> Detections:
    """The detections of `predict_tiled`, masks as `Crops`; arguments as there, the image as RGB."""
    (height, width), shape = image.shape[:2], shape or native_shape(predictor.config.input)
    seen: list[TileDetections] = []
    while True:
        windows = tile(image.shape[:2], shape, overlap)
        scale = width / image.shape[1], height / image.shape[0]
        for start in range(0, len(windows), predictor.batch_size):
            part = windows[start : start + predictor.batch_size]
            tiles = [image[y0:y1, x0:x1] for x0, y0, x1, y1 in part]
            for window, found in zip(part, predictor.detect(tiles), strict=True):
                # Detections with lower scores may still confirm those of another window.
                kept = select(found, found.scores >= MIN_SCORE_RATIO * min_score)
                seen.append(gather(kept, window, scale, (height, width)))
        if len(windows) == 1:
            found = join(seen, predictor.config.detect.nms_iou)
            return select(found, found.scores >= min_score)
        image = _shrink(image, shape)


def _starts(whole: int, side: int, overlap: float) -> list[int]:
    if whole <= side:
        return [0]
    count = math.ceil((whole - side) / max(1, math.floor(side * (1 - overlap)))) + 1
    return np.rint(np.linspace(0, whole - side, count)).astype(int).tolist()


def _shrink(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """An image half as large, or as large as a tile if that is more.

    By the mean over areas: bilinear resizing, as for the network's input, aliases fine texture.
    """
    height, width = image.shape[:2]
    factor = max(0.5, min(1.0, shape[0] / height, shape[1] / width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
