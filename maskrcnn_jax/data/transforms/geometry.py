"""Resizing and padding for prediction, and the ground truth of an image on its canvas."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.buckets import fitted_sizes
from maskrcnn_jax.data.transforms.masks import crop_mask
from maskrcnn_jax.data.transforms.placement import (
    Placement,
    center,
    pixel_scale,
    place_boxes,
    place_image,
    visible_region,
    whole,
)
from maskrcnn_jax.ops.images import InputConfig
from maskrcnn_jax.structs import GroundTruth


class Fitted(NamedTuple):
    """An image resized and padded for prediction."""

    image: np.ndarray
    """`[H, W, 3]` uint8, or float32 with exact interpolation: the network input, zero where padded."""
    size: np.ndarray
    """`[2]` float32 `(height, width)` of the resized image inside the padding, pixels."""
    scale: tuple[float, float]
    """`(x, y)`: resized pixels per original pixel."""


def fit(image: UInt8[np.ndarray, "h w 3"], config: InputConfig) -> Fitted:
    """Resizes and pads an image for prediction; the only test-time transform.

    Args:
        image: RGB.
        config: The sizes and the interpolation.

    Raises:
        ConfigError: No bucket holds the resized image.
    """
    resized, padded = fitted_sizes(np.array([image.shape[:2]]), config)
    (height, width), (padded_height, padded_width) = resized[0].tolist(), padded[0].tolist()
    placement, canvas = whole(image.shape[:2], (height, width), flip=False), (padded_height, padded_width)
    if config.centered:
        placement = center(placement, canvas)
    placed = place_image(image, placement, canvas, config.interpolation)
    return Fitted(placed, np.array([height, width], np.float32), pixel_scale(placement))


def place_objects(example: Example, placement: Placement, max_objects: int, mask_size: int) -> GroundTruth:
    """Transforms the objects to the canvas and fills `max_objects` slots with the largest of them.

    Masks are sampled directly from the stored raster, so they lose no accuracy by resizing. An object that the window
    cuts gets the box of the rest of its mask; one of which less than a pixel remains is left out.

    Returns:
        One image's `GroundTruth` (no leading axis). `mask_extent` is the object's box. Empty slots are zero.
    """
    region = visible_region(placement)
    scale = np.array(pixel_scale(placement))
    boxes = clip(example.boxes.astype(np.float64), region)
    sides = (boxes[:, 2:] - boxes[:, :2]) * scale
    area = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    largest = np.argsort(-area, kind="stable")[:max_objects]
    truth = empty_slots(max_objects, mask_size)
    slot = 0
    for i in np.sort(largest[area[largest] > 0]).tolist():
        mask, box = example.masks[i], boxes[i]
        if cut(example.boxes[i], region):
            box = clip(box[None], mask_bounds(mask, box))[0]
            if ((box[2:] - box[:2]) * scale < 1).any():
                continue
        crop = np.rot90(crop_mask(mask, box, mask_size), placement.turns)
        truth.masks[slot] = crop[:, ::-1] if placement.flip else crop
        truth.boxes[slot] = place_boxes(box[None], placement)[0]
        truth.labels[slot] = example.labels[i]
        truth.is_crowd[slot] = example.is_crowd[i]
        truth.valid[slot] = True
        slot += 1
    return truth._replace(mask_extent=truth.boxes.copy())


def empty_slots(max_objects: int, mask_size: int) -> GroundTruth:
    """Ground truth of one image with no object: all slots zero and not valid."""
    return GroundTruth(
        boxes=np.zeros((max_objects, 4), np.float32),
        labels=np.zeros(max_objects, np.int32),
        is_crowd=np.zeros(max_objects, bool),
        valid=np.zeros(max_objects, bool),
        masks=np.zeros((max_objects, mask_size, mask_size), np.uint8),
        mask_extent=np.zeros((max_objects, 4), np.float32),
    )


def clip(boxes: Float[np.ndarray, "n 4"], region: Float[np.ndarray, "4"]) -> Float[np.ndarray, "n 4"]:
    """The part of each box inside a region; of negative or zero size where they do not meet."""
    return np.concatenate([np.maximum(boxes[:, :2], region[:2]), np.minimum(boxes[:, 2:], region[2:])], axis=1)


def cut(box: Float[np.ndarray, "4"], region: Float[np.ndarray, "4"]) -> bool:
    """Whether a box reaches out of a region."""
    return bool((box[:2] < region[:2]).any() or (box[2:] > region[2:]).any())


def mask_bounds(mask: UInt8[np.ndarray, "H W"], box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """Bounds of the mask's pixels that a box touches; of zero size if there are none."""
    (left, top), (right, bottom) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask[top:bottom, left:right]))
    return np.array([left + x, top + y, left + x + width, top + y + height], np.float64)
