"""Endless synthetic images of simple shapes, drawn by index."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from maskrcnn_jax.data.sources.coco_dictionary import of_examples
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.masks.boxes import box_iou
from maskrcnn_jax.messages.config_error import require, require_not_negative, require_positive

Kind = Literal["square", "circle", "triangle", "star", "ring", "cross"]
"""Kinds of shapes in the synthetic images."""
MARGIN = 20
"""Least distance from a shape's centre to the image's edge, and least half-size, pixels."""
OVERLAP = 0.3
"""Of two shapes whose extents overlap by more than this IoU only the later is drawn."""


@dataclass(frozen=True)
class ShapesSource(Source):
    """Endless synthetic images of simple shapes, drawn by index."""

    seed: int = 0
    image_size: int = 128
    """Side of the square image, pixels."""
    first: int = 0
    """Index of the first image: ranges that do not overlap have no image in common."""
    count: int = 1_000_000
    """Number of images."""
    max_objects: int = 4
    kinds: tuple[Kind, ...] = ("square", "circle", "triangle")
    """The classes, in the order of their labels."""

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_not_negative(f"{where}.seed", self.seed)
        require_positive(f"{where}.image_size", self.image_size)
        require_not_negative(f"{where}.first", self.first)
        require_positive(f"{where}.count", self.count)
        require_positive(f"{where}.max_objects", self.max_objects)
        kinds, remedy = self.kinds, "must hold at least one kind, and none twice"
        require(0 < len(kinds) == len(set(kinds)), f"{where}.kinds", kinds, remedy)

    def open(self) -> "Shapes":
        """Makes the data set; see `Source.open`."""
        return Shapes(self)


class Shape(NamedTuple):
    """A filled shape with its centre and half its size, pixels."""

    kind: Kind
    x: int
    y: int
    half: int
    color: tuple[int, int, int]

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """The square around the centre, `(x0, y0, x1, y1)`."""
        return self.x - self.half, self.y - self.half, self.x + self.half, self.y + self.half


class Shapes:
    """One to `max_objects` shapes of random kind, position, size and colour on a random background.

    Later ones occlude earlier ones. An image is a pure function of (seed, index). Implements `ImageSource`.

    Source: the "shapes" sample of Matterport's Mask R-CNN, with its sizes (half-size 20 … a quarter of the image),
    margins and non-maximum suppression. Deviation: masks hold visible pixels only and boxes are taken from them.
    Stars, rings and crosses are additions.
    """

    has_masks = True

    def __init__(self, config: ShapesSource):
        require(config.image_size >= 3 * MARGIN, "image_size", config.image_size, f"take {3 * MARGIN} or more")
        self.config = config
        self.class_names: tuple[str, ...] = config.kinds
        self.category_ids = tuple(range(1, len(config.kinds) + 1))
        self.image_ids = range(config.first, config.first + config.count)
        self.sizes = np.broadcast_to(np.int32(config.image_size), (config.count, 2))
        self.num_objects = np.broadcast_to(np.int32(config.max_objects), (config.count,))

    @property
    def file_names(self) -> list[str]:
        """Names that the images would have as files."""
        return [f"{image_id:012d}.png" for image_id in self.image_ids]

    def __len__(self) -> int:
        return self.config.count

    def __getitem__(self, index: int) -> Example:
        """Draws image `index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        image_id = self.image_ids[index]
        rng = np.random.default_rng((self.config.seed, image_id))
        background = rng.integers(0, 256, 3, np.uint8)
        shapes = random_shapes(rng, self.config)
        return draw(image_id, self.config.image_size, background, shapes, self.config.kinds)

    def coco(self) -> dict[str, Any]:
        """Draws every image and returns the ground truth in COCO's form; annotation ids count from 1."""
        return of_examples(self)


def random_shapes(rng: np.random.Generator, config: ShapesSource) -> list[Shape]:
    """Draws one to `max_objects` shapes, back to front, none of which nearly hides another."""
    shapes, size = [], config.image_size
    for _ in range(rng.integers(1, config.max_objects, endpoint=True)):
        kind = config.kinds[rng.integers(len(config.kinds))]
        x, y = rng.integers(MARGIN, size - MARGIN, 2).tolist()
        # A quarter of a small image may be less than the margin.
        half = int(rng.integers(min(MARGIN, size // 4), size // 4, endpoint=True))
        red, green, blue = rng.integers(0, 256, 3).tolist()
        shapes.append(Shape(kind, x, y, half, (red, green, blue)))
    front: list[Shape] = []
    for shape in reversed(shapes):
        extents = np.array([other.extent for other in front]).reshape(-1, 4)
        if (box_iou(np.array([shape.extent]), extents) <= OVERLAP).all():
            front.append(shape)
    return front[::-1]


def draw(image_id: int, size: int, background: np.ndarray, shapes: Sequence[Shape], kinds: Sequence[Kind]) -> Example:
    """Paints shapes back to front on a square image; a shape without a visible pixel is left out.

    Labels are the positions of the shapes' kinds in `kinds`.
    """
    image = np.empty((size, size, 3), np.uint8)
    image[:] = background
    masks: list[np.ndarray] = []
    for shape in shapes:
        mask = silhouette(shape, size)
        image[mask > 0] = shape.color
        for earlier in masks:
            earlier &= mask ^ 1
        masks.append(mask)
    return Example.of(image, image_id, [kinds.index(shape.kind) for shape in shapes], masks)


def silhouette(shape: Shape, size: int) -> np.ndarray:
    """The pixels of one shape in a square image, `[size, size]` uint8 in {0, 1}."""
    mask = np.zeros((size, size), np.uint8)
    kind, x, y, half, _ = shape
    third = half // 3
    match kind:
        case "square":
            cv2.rectangle(mask, (x - half, y - half), (x + half, y + half), 1, cv2.FILLED)
        case "circle":
            cv2.circle(mask, (x, y), half, 1, cv2.FILLED)
        case "triangle":
            base = half / math.sin(math.radians(60))
            _polygon(mask, [(x, y - half), (x - base, y + half), (x + base, y + half)])
        case "star":
            spokes = [(half if i % 2 == 0 else 0.4 * half, math.radians(36 * i)) for i in range(10)]
            _polygon(mask, [(x + r * math.sin(angle), y - r * math.cos(angle)) for r, angle in spokes])
        case "ring":
            cv2.circle(mask, (x, y), half, 1, cv2.FILLED)
            cv2.circle(mask, (x, y), half // 2, 0, cv2.FILLED)
        case "cross":
            cv2.rectangle(mask, (x - half, y - third), (x + half, y + third), 1, cv2.FILLED)
            cv2.rectangle(mask, (x - third, y - half), (x + third, y + half), 1, cv2.FILLED)
    return mask


def _polygon(mask: np.ndarray, corners: Sequence[tuple[float, float]]) -> None:
    cv2.fillPoly(mask, [np.array(corners).astype(np.int32)], 1)
