"""Data sets and their way to the device: host code in NumPy that knows nothing of the model."""

from maskrcnn_jax import config
from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.pipeline import train_batches, validation_batches
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.data.sources.prepared import CocoInstances
from maskrcnn_jax.data.sources.shapes import Shapes
from maskrcnn_jax.data.transforms.geometry import fit


def open_source(source: config.Source) -> ImageSource:
    """Opens the data set that a configuration describes.

    Raises:
        ConfigError: A value cannot work, or the folder holds no prepared data set or no such split.
    """
    return Shapes(source) if isinstance(source, config.ShapesSource) else CocoInstances(source)


__all__ = [
    "BrokenImage",
    "CocoInstances",
    "Example",
    "ImageSource",
    "Shapes",
    "fit",
    "open_source",
    "train_batches",
    "validation_batches",
]
