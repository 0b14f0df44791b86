"""What a data set is made of, in numbers: sizes, colours, objects and classes of many of its pictures."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Integer

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.inspect.data.sample_figures import mask_boxes
from maskrcnn_jax.inspect.document import Table

AREAS = (256, 600, 1300)
"""Sides of the squares that part pictures by area, pixels (Matterport's nucleus sample)."""


class ImageNumbers(NamedTuple):
    """The numbers of one picture."""

    position: int
    """Where the source has it."""
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
    """`[n]` pixels: the most by which a side of the annotated box lies away from that of the mask."""


class DataNumbers(NamedTuple):
    """The numbers of pictures, and why some of them have none."""

    images: list[ImageNumbers]
    broken: list[str]
    """A message for each picture that cannot be decoded."""

    def objects(self, field: str) -> np.ndarray:
        """A field of every object, picture after picture."""
        return np.concatenate([getattr(image, field) for image in self.images])

    def counts(self) -> Integer[np.ndarray, " i"]:
        """Objects in each picture."""
        return np.array([len(image.labels) for image in self.images])

    def colors(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Mean and standard deviation of red, green and blue; every picture counts the same."""
        mean = np.mean([image.mean for image in self.images], axis=0)
        square = np.mean([image.square for image in self.images], axis=0)
        return mean, np.sqrt(np.maximum(square - mean**2, 0))


def read_numbers(source: ImageSource, positions: Iterable[int], threads: int) -> DataNumbers:
    """Decodes pictures and their masks with threads and keeps their numbers alone.

    Args:
        source: the data set.
        positions: of the pictures in it.
        threads: that decode.
    """

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
    """The numbers of the picture that a source has at a position."""
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


def class_table(numbers: DataNumbers, source: ImageSource) -> Table:
    """The classes: label, name, the data set's own number, and how often they occur in the pictures looked at."""
    labels, crowds = numbers.objects("labels"), numbers.objects("is_crowd")
    total = max(len(labels), 1)
    rows = []
    for label, (name, category) in enumerate(zip(source.class_names, source.category_ids, strict=True)):
        mine = labels == label
        images = sum(label in image.labels for image in numbers.images)
        rows.append((label, name, category, mine.sum(), f"{mine.sum() / total:.1%}", crowds[mine].sum(), images))
    columns = ("label", "class", "id in the data", "objects", "share", "of them crowds", "images")
    return Table(columns, rows, "Classes", [row[0] for row in rows if row[3] == 0])


def spread_table(quantities: Sequence[tuple[str, np.ndarray]], caption: str) -> Table:
    """Mean, median and range of quantities, each with its values; without values nothing is said."""
    rows = []
    for name, values in quantities:
        numbers = [float("nan")] * 6
        if len(values):
            low, median, high = np.percentile(values, (5, 50, 95))
            numbers = [float(n) for n in (np.mean(values), values.min(), low, median, high, values.max())]
        rows.append((name, len(values), *numbers))
    return Table(("", "values", "mean", "least", "5 %", "median", "95 %", "greatest"), rows, caption)


def object_size_table(numbers: DataNumbers) -> Table:
    """Objects per picture, and the sizes of boxes and masks in pixels of the stored pictures."""
    boxes = numbers.objects("boxes")
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    quantities = (
        ("objects in a picture", numbers.counts()),
        ("box height", height),
        ("box width", width),
        ("√ box area", np.sqrt(width * height)),
        ("box height / width", height / width),
        ("mask area", numbers.objects("mask_areas")),
        ("share of the box that the mask covers", numbers.objects("mask_areas") / (width * height)),
    )
    return spread_table(quantities, "Objects, pixels of the stored pictures")


def area_table(numbers: DataNumbers) -> Table:
    """Pictures by their area: how many objects they have, and how large those are."""
    sides = np.sqrt([image.size[0] * image.size[1] for image in numbers.images])
    rows = []
    for low, high in zip((0, *AREAS), (*AREAS, np.inf), strict=True):
        within = np.flatnonzero((sides > low) & (sides <= high))
        images = [numbers.images[i] for i in within]
        if not images:
            continue
        part = DataNumbers(images, [])
        counts, boxes = part.counts(), part.objects("boxes")
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        name = f"up to {high}²" if np.isfinite(high) else f"above {low}²"
        medians = [float(np.median(v)) if len(v) else float("nan") for v in (height, width, np.sqrt(width * height))]
        spread = (f"{counts.mean():.1f}", int(np.median(counts)), counts.min(), counts.max())
        rows.append((name, len(images), *spread, *medians))
    objects = ("objects, mean", "median", "least", "greatest")
    columns = ("picture, pixels", "images", *objects, "median box height", "width", "√ area")
    return Table(columns, rows, "Objects by the area of their picture")
