"""Statistics of a data set: sizes, colours, objects and classes of many of its images."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Integer

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.data.transforms.geometry import mask_bounds


class ImageNumbers(NamedTuple):
    """Statistics of one image."""

    position: int
    """Its index in the source."""
    image_id: int
    size: tuple[int, int]
    """(height, width), pixels."""
    mean: np.ndarray
    """`[3]` float64: mean of red, green and blue."""
    square: np.ndarray
    """`[3]` float64: mean of their squares."""
    boxes: np.ndarray
    """`[n, 4]` as annotated."""
    labels: np.ndarray
    """`[n]`."""
    is_crowd: np.ndarray
    """`[n]` bool."""
    mask_areas: np.ndarray
    """`[n]` pixels."""
    distances: np.ndarray
    """`[n]` pixels: the largest distance of a side of the annotated box from that of the mask."""


class DataNumbers(NamedTuple):
    """Statistics of images, and errors of those that cannot be read."""

    images: list[ImageNumbers]
    broken: list[str]
    """A message for each image that cannot be decoded."""

    def objects(self, field: str) -> np.ndarray:
        """A field of all objects, concatenated."""
        return np.concatenate([getattr(image, field) for image in self.images])

    def counts(self) -> Integer[np.ndarray, " i"]:
        """Objects in each image."""
        return np.array([len(image.labels) for image in self.images])

    def box_sides(self) -> Float[np.ndarray, "n 2"]:
        """(height, width) of all boxes, pixels of the stored images."""
        boxes = self.objects("boxes")
        return boxes[:, :1:-1] - boxes[:, 1::-1]

    def colors(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Mean and standard deviation of red, green and blue; every image counts the same."""
        mean = np.mean([image.mean for image in self.images], axis=0)
        square = np.mean([image.square for image in self.images], axis=0)
        return mean, np.sqrt(np.maximum(square - mean**2, 0))


def read_numbers(source: ImageSource, positions: Iterable[int], threads: int) -> DataNumbers:
    """Decodes images and their masks with some threads and keeps only their statistics."""

    def read(position: int) -> ImageNumbers | str:
        try:
            return image_numbers(position, source[position])
        except BrokenImage as error:
            return str(error)

    with ThreadPoolExecutor(threads) as workers:
        results = list(workers.map(read, positions))
    broken = [result for result in results if isinstance(result, str)]
    return DataNumbers([result for result in results if not isinstance(result, str)], broken)


def image_numbers(position: int, example: Example) -> ImageNumbers:
    """Statistics of the image at a position of a source."""
    mean, deviation = (statistic.ravel()[:3] for statistic in cv2.meanStdDev(example.image))
    example = example._replace(masks=list(example.masks))  # each is decoded once
    return ImageNumbers(
        position=position,
        image_id=example.image_id,
        size=(example.image.shape[0], example.image.shape[1]),
        mean=mean,
        square=mean**2 + deviation**2,
        boxes=example.boxes,
        labels=example.labels,
        is_crowd=example.is_crowd,
        mask_areas=np.array([np.count_nonzero(mask) for mask in example.masks], np.int64),
        distances=np.abs(example.boxes - mask_boxes(example)).max(axis=1, initial=0),
    )


def mask_boxes(example: Example) -> Float[np.ndarray, "n 4"]:
    """The box around each mask: its first and last column and row, the last one included.

    Returns:
        `[n, 4]` `(x0, y0, x1, y1)` pixels; of zero size at the origin where a mask has no pixel.
    """
    height, width = example.image.shape[:2]
    whole = np.array([0.0, 0.0, width, height])
    return np.array([mask_bounds(mask, whole) for mask in example.masks]).reshape(-1, 4)
