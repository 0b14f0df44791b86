"""Data sets and input pipeline: host code in NumPy, independent of the model."""

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.pipeline import train_batches, validation_batches
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.data.sources.examples import Examples
from maskrcnn_jax.data.sources.prepared import CocoInstances
from maskrcnn_jax.data.sources.shapes import Shapes
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.data.transforms.geometry import fit

__all__ = [
    "BrokenImage",
    "CocoInstances",
    "Example",
    "Examples",
    "ImageSource",
    "Shapes",
    "Source",
    "fit",
    "train_batches",
    "validation_batches",
]
