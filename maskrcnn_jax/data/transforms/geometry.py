"""From an example to one row of a batch: resize, crop, mirror, recolour, pad.

All geometry is one `Placement`, drawn first and then applied to the picture, the boxes and the masks.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.buckets import Bucket, fitted_sizes, resized_sizes
from maskrcnn_jax.data.transforms.masks import crop_mask
from maskrcnn_jax.data.transforms.resize import Picture, resize
from maskrcnn_jax.ops.images import InputConfig, Interpolation
from maskrcnn_jax.structs import Batch, GroundTruth

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


class Placement(NamedTuple):
    """How a picture gets onto the padded canvas: resized, cropped to a window, mirrored, put down."""

    original: tuple[int, int]
    """(height, width) as stored, pixels."""
    resized: tuple[int, int]
    """(height, width) after resizing, pixels."""
    offset: tuple[int, int]
    """(y, x) of the window's corner in the resized picture."""
    window: tuple[int, int]
    """(height, width) of the part that is kept, pixels."""
    flip: bool
    origin: tuple[int, int] = (0, 0)
    """(y, x) of the window's corner on the canvas."""


class Fitted(NamedTuple):
    """A picture resized and padded for prediction."""

    image: np.ndarray
    """`[H, W, 3]` uint8, or float32 with exact interpolation: the network input, zero where padded."""
    size: np.ndarray
    """`[2]` float32 `(height, width)` of the part that is picture, pixels."""
    scale: tuple[float, float]
    """`(x, y)`: resized pixels per original pixel."""


def fit(image: UInt8[np.ndarray, "h w 3"], config: InputConfig) -> Fitted:
    """Resizes and pads a picture as the network expects it; the one test-time transform.

    Args:
        image: RGB.
        config: How, and to which sizes.

    Raises:
        ConfigError: No bucket holds the resized picture.
    """
    resized, padded = fitted_sizes(np.array([image.shape[:2]]), config)
    (height, width), (rows, columns) = resized[0].tolist(), padded[0].tolist()
    placement, canvas = whole(image.shape[:2], (height, width), flip=False), (rows, columns)
    if config.centered:
        placement = center(placement, canvas)
    picture = place_image(image, placement, canvas, config.interpolation)
    return Fitted(picture, np.array([height, width], np.float32), pixel_scale(placement))


def augment(
    example: Example, rng: np.random.Generator, config: DataConfig, bucket: Bucket, centered: bool = False
) -> Batch:
    """Makes a training row: a `Batch` without the leading axis.

    Args:
        example: The picture and its objects.
        rng: Decides everything random; consumed.
        config: What may happen, and how many slots and mask cells there are.
        bucket: Padded (height, width).
        centered: Put the picture in the middle; see `InputConfig.centered`.
    """
    return make_row(
        example, draw_placement(example.image.shape[:2], rng, config, bucket), rng, config, bucket, centered
    )


def make_row(
    example: Example,
    placement: Placement,
    rng: np.random.Generator,
    config: DataConfig,
    bucket: Bucket,
    centered: bool,
) -> Batch:
    """Puts a picture and its objects where the placement says, and recolours it; see `augment`."""
    if centered:
        placement = center(placement, bucket)
    image = place_image(example.image, placement, bucket)
    if config.color_jitter:
        # The padding is recoloured, too: the device zeroes it.
        image = jitter_color(image, config.color_jitter, rng)
    ground_truth = place_objects(example, placement, config.max_objects, config.mask_size)
    return Batch(image, np.array(placement.window, np.float32), ground_truth, np.array(example.image_id, np.int64))


def shortest_edge_placement(size: tuple[int, int], shortest_edge: int, longest_edge: int, flip: bool) -> Placement:
    """Resizes so that the shorter side is `shortest_edge` and the longer at most `longest_edge`; keeps everything."""
    height, width = resized_sizes(np.array([size]), shortest_edge, longest_edge)[0].tolist()
    return whole(size, (height, width), flip)


def whole(size: tuple[int, int], resized: tuple[int, int], flip: bool) -> Placement:
    """Keeps everything of a resized picture."""
    return Placement(size, resized, (0, 0), resized, flip)


def center(placement: Placement, canvas: tuple[int, int]) -> Placement:
    """Puts the window in the middle of the canvas; of an odd remainder more is left at the right and bottom."""
    (height, width), (rows, columns) = canvas, placement.window
    return placement._replace(origin=((height - rows) // 2, (width - columns) // 2))


def draw_placement(size: tuple[int, int], rng: np.random.Generator, config: DataConfig, bucket: Bucket) -> Placement:
    """Draws resizing, crop and flip for a picture of `size` = (height, width).

    With `scale_jitter` the picture is scaled by a random factor relative to the largest scale that fits the bucket
    and cropped at a random place (Ghiasi et al. 2021, large-scale jittering); else its shorter side gets one of
    `shortest_edges`.
    """
    flip = bool(rng.random() < config.flip)
    if config.scale_jitter is None:
        return shortest_edge_placement(size, int(rng.choice(config.shortest_edges)), config.longest_edge, flip)
    scale = rng.uniform(*config.scale_jitter) * np.min(np.divide(bucket, size))
    resized = np.maximum((np.multiply(size, scale) + 0.5).astype(np.int64), 1)
    window = np.minimum(resized, bucket)
    offset = rng.integers(0, resized - window, endpoint=True)
    (height, width), (top, left), (rows, columns) = resized.tolist(), offset.tolist(), window.tolist()
    return Placement(size, (height, width), (top, left), (rows, columns), flip)


def pixel_scale(placement: Placement) -> tuple[float, float]:
    """`(x, y)`: resized pixels per stored pixel."""
    (height, width), (old_height, old_width) = placement.resized, placement.original
    return width / old_width, height / old_height


def place_image(
    image: UInt8[np.ndarray, "h w 3"], placement: Placement, bucket: Bucket, interpolation: Interpolation = "rounded"
) -> Picture:
    """Resizes, crops, mirrors and pads a picture with zeros."""
    resized = resize(image, placement.resized, interpolation)
    (top, left), (y, x), (rows, columns) = placement.offset, placement.origin, placement.window
    seen = resized[top : top + rows, left : left + columns]
    canvas = np.zeros((*bucket, 3), resized.dtype)
    place = canvas[y : y + rows, x : x + columns]
    if placement.flip:
        cv2.flip(seen, 1, dst=place)
    else:
        place[:] = seen
    return canvas


def place_boxes(boxes: Float[np.ndarray, "n 4"], placement: Placement) -> Float32[np.ndarray, "n 4"]:
    """Carries boxes from the stored picture to the canvas, not clipped."""
    corners = boxes.reshape(-1, 2, 2) * pixel_scale(placement) - placement.offset[::-1]
    if placement.flip:
        corners[..., 0] = placement.window[1] - corners[:, ::-1, 0]
    return (corners + placement.origin[::-1]).reshape(-1, 4).astype(np.float32)


def visible_region(placement: Placement) -> Float[np.ndarray, "4"]:
    """The window `(x0, y0, x1, y1)` in pixels of the stored picture."""
    scale = np.array(pixel_scale(placement))
    start = placement.offset[::-1] / scale
    stop = np.minimum(start + placement.window[::-1] / scale, placement.original[::-1])
    return np.concatenate([start, stop])


def place_objects(example: Example, placement: Placement, max_objects: int, mask_size: int) -> GroundTruth:
    """Carries the objects to the canvas and fills `max_objects` slots with the largest of them.

    Masks are sampled straight from the stored raster, so resizing costs them nothing. An object that the window cuts
    gets the box of what remains of its mask; one of which less than a pixel remains is left out.

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
        crop = crop_mask(mask, box, mask_size)
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


def jitter_color(
    image: UInt8[np.ndarray, "H W 3"], strength: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Scales brightness, contrast and saturation by random factors in `[1 - strength, 1 + strength]`.

    The three are one affine map of RGB, applied with a single rounding.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    gray = np.ones((3, 1)) * LUMA
    saturate = saturation * np.eye(3) + (1 - saturation) * gray
    mean = brightness * np.dot(LUMA, cv2.mean(image)[:3])
    matrix = np.column_stack([brightness * contrast * saturate, np.full(3, (1 - contrast) * mean)])
    return cv2.transform(image, matrix)
