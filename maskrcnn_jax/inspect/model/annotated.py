"""An image of a data set with its annotated objects."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from maskrcnn_jax.config import Config
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.messages.counts import pluralize, shorten_list
from maskrcnn_jax.structs import GroundTruth
from maskrcnn_jax.training.step import to_model_boxes


class AnnotatedImage(NamedTuple):
    """An annotated image and its data set."""

    source: ImageSource
    position: int
    """The index of the image in the source."""
    example: Example
    config: Config
    """The experiment, whose settings determine training targets."""

    @property
    def category_names(self) -> dict[int, str]:
        """The data set's categories by their numbers."""
        return dict(zip(self.source.category_ids, self.source.class_names, strict=True))

    @property
    def object_names(self) -> list[str]:
        """The objects that are not crowds by class, numbered from 1."""
        labels = self.example.labels[~self.example.is_crowd].tolist()
        return [f"{self.source.class_names[label]} {number}" for number, label in enumerate(labels, start=1)]


def read_annotated(source: ImageSource, position: int, config: Config) -> AnnotatedImage:
    """An annotated image of a data set.

    Raises:
        ValueError: the data set has no such image, or its classes are not the network's.
        BrokenImage: the image cannot be decoded.
    """
    if not 0 <= position < len(source):
        raise ValueError(f"position = {position}: the data has {pluralize(len(source), 'image')}, the first is 0")
    names, classes = config.model.class_names, config.model.num_classes
    if not names and len(source.class_names) != classes:
        raise ValueError(
            f"the data has {pluralize(len(source.class_names), 'class')}, the model {classes} without names; "
            "give its own data"
        )
    if names and not set(names) & set(source.class_names):
        raise ValueError(
            f"the data has none of the model's classes, but {shorten_list(source.class_names)}; give its own data"
        )
    return AnnotatedImage(source, position, source[position], config)


def network_objects(
    annotated: AnnotatedImage, scale: tuple[float, float], corner: Float[np.ndarray, "2"]
) -> GroundTruth:
    """The objects with boxes in pixels of the network's input; no leading `B`, no padding.

    Masks are left out: each is a single empty cell. Scale, `(x, y)`, is network pixels per pixel of the image; corner,
    `(x, y)`, is that of the image in the padded input, pixels.
    """
    example, count = annotated.example, len(annotated.example.boxes)
    boxes = example.boxes * np.float32(np.tile(scale, 2)) + np.tile(corner, 2)
    masks = np.zeros((count, 1, 1), np.uint8)
    placed = GroundTruth(boxes, example.labels, example.is_crowd, np.ones(count, bool), masks, boxes)
    return jax.device_get(to_model_boxes(placed, annotated.config.model))
