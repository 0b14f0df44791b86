"""Endless synthetic pictures of squares, circles and triangles, drawn by index."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from maskrcnn_jax.config import ShapesSource, require
from maskrcnn_jax.data.rle import encode_mask
from maskrcnn_jax.data.source import Example

SQUARE, CIRCLE, TRIANGLE = range(3)
MARGIN = 20
"""Least distance from a shape's centre to the picture's edge, and least half-size, pixels."""
OVERLAP = 0.3
"""Of two shapes whose extents overlap by more than this IoU only the later is drawn."""


class Shape(NamedTuple):
    """A filled shape with its centre and half its size, pixels."""

    label: int
    x: int
    y: int
    half: int
    color: tuple[int, int, int]


class Shapes:
    """One to `max_objects` shapes of random place, size and colour on a random background; later ones occlude earlier.

    A picture is a pure function of (seed, index). Implements `ImageSource`.

    Source: the "shapes" sample of Matterport's Mask R-CNN, with its sizes (half-size 20 … a quarter of the picture),
    margins and non-maximum suppression. Deviation: masks hold visible pixels only and boxes are taken from them.
    """

    class_names: tuple[str, ...] = ("square", "circle", "triangle")
    category_ids: tuple[int, ...] = (1, 2, 3)

    def __init__(self, config: ShapesSource):
        require(config.image_size >= 3 * MARGIN, "image_size", config.image_size, f"take {3 * MARGIN} or more")
        self.config = config
        self.sizes = np.broadcast_to(np.int32(config.image_size), (config.count, 2))
        self.num_objects = np.broadcast_to(np.int32(config.max_objects), (config.count,))

    def __len__(self) -> int:
        return self.config.count

    def __getitem__(self, index: int) -> Example:
        """Draws picture `index`, whose id is `first + index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        image_id = self.config.first + index
        rng = np.random.default_rng((self.config.seed, image_id))
        background = rng.integers(0, 256, 3, np.uint8)
        shapes = random_shapes(rng, self.config.image_size, self.config.max_objects)
        return draw(image_id, self.config.image_size, background, shapes)

    def coco(self) -> dict[str, Any]:
        """Draws every picture and returns the ground truth in COCO's form; annotation ids count from 1."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for example in map(self.__getitem__, range(len(self))):
            height, width = example.image.shape[:2]
            name = f"{example.image_id:012d}.png"
            images.append({"id": example.image_id, "file_name": name, "height": height, "width": width})
            for box, label, mask in zip(example.boxes.tolist(), example.labels, example.masks, strict=True):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": example.image_id,
                        "category_id": self.category_ids[label],
                        "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        "area": float(mask.sum()),
                        "iscrowd": 0,
                        "segmentation": encode_mask(mask),
                    }
                )
        categories = [{"id": i, "name": name} for i, name in zip(self.category_ids, self.class_names, strict=True)]
        return {"images": images, "annotations": annotations, "categories": categories}


def random_shapes(rng: np.random.Generator, size: int, max_objects: int) -> list[Shape]:
    """Draws one to `max_objects` shapes, back to front, none of which nearly hides another."""
    shapes = []
    for _ in range(rng.integers(1, max_objects, endpoint=True)):
        label = int(rng.integers(3))
        x, y = rng.integers(MARGIN, size - MARGIN, 2).tolist()
        # A quarter of a small picture may be less than the margin.
        half = int(rng.integers(min(MARGIN, size // 4), size // 4, endpoint=True))
        red, green, blue = rng.integers(0, 256, 3).tolist()
        shapes.append(Shape(label, x, y, half, (red, green, blue)))
    front: list[Shape] = []
    for shape in reversed(shapes):
        if all(extent_iou(shape, other) <= OVERLAP for other in front):
            front.append(shape)
    return front[::-1]


def extent_iou(a: Shape, b: Shape) -> float:
    """IoU of the squares around the centres of two shapes."""
    width = min(a.x + a.half, b.x + b.half) - max(a.x - a.half, b.x - b.half)
    height = min(a.y + a.half, b.y + b.half) - max(a.y - a.half, b.y - b.half)
    intersection = max(width, 0) * max(height, 0)
    return intersection / (4 * a.half**2 + 4 * b.half**2 - intersection)


def draw(image_id: int, size: int, background: np.ndarray, shapes: Sequence[Shape]) -> Example:
    """Paints shapes back to front on a square picture; a shape without a visible pixel is left out."""
    image = np.empty((size, size, 3), np.uint8)
    image[:] = background
    masks: list[np.ndarray] = []
    for shape in shapes:
        mask = np.zeros((size, size), np.uint8)
        fill(mask, shape, (1,))
        fill(image, shape, shape.color)
        for earlier in masks:
            earlier &= mask ^ 1
        masks.append(mask)
    corners = [cv2.boundingRect(mask) for mask in masks]
    visible = [i for i, (_, _, width, _) in enumerate(corners) if width > 0]
    boxes = [
        (corners[i][0], corners[i][1], corners[i][0] + corners[i][2], corners[i][1] + corners[i][3]) for i in visible
    ]
    return Example(
        image,
        image_id,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray([shapes[i].label for i in visible], np.int32),
        np.zeros(len(visible), bool),
        [masks[i] for i in visible],
    )


def fill(canvas: np.ndarray, shape: Shape, color: tuple[int, ...]) -> None:
    """Paints one shape in place."""
    x, y, half = shape.x, shape.y, shape.half
    if shape.label == SQUARE:
        cv2.rectangle(canvas, (x - half, y - half), (x + half, y + half), color, cv2.FILLED)
    elif shape.label == CIRCLE:
        cv2.circle(canvas, (x, y), half, color, cv2.FILLED)
    else:
        base = half / math.sin(math.radians(60))
        corners = np.array([(x, y - half), (x - base, y + half), (x + base, y + half)]).astype(np.int32)
        cv2.fillPoly(canvas, [corners], color)
