"""Data sets, augmentation and batching."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Integer

from maskrcnn_jax.data.sources.prepared import CocoSource
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.data.transforms.placing import Flip, Resize
from maskrcnn_jax.data.transforms.transform import Transform

T = TypeVar("T", bound=Transform)


@dataclass(frozen=True)
class DataConfig:
    """Images, their augmentation and how they are batched."""

    train: Source = CocoSource()
    validation: Source = CocoSource(split="val", keep_empty=True)
    batch_size: int = 16
    """Images per step over all devices."""
    validation_batch_size: int = 8
    max_objects: int = 100
    """Ground-truth slots per image; of more objects the largest are kept, and a warning counts the rest."""
    mask_size: int = 112
    """Side `M` of the ground-truth mask crops."""
    transforms: tuple[Transform, ...] = (Flip(), Resize())
    """Augmentation of training images: geometry in this order, then objects of other images, then pixels."""
    buckets: tuple[tuple[int, int], ...] = ((832, 1344), (1344, 832))
    """Padded (height, width) of training batches; images of one bucket are batched together."""
    threads: int = 16
    """Threads that decode and augment."""
    max_broken: int = 10
    """Broken images that are skipped with a warning before the run stops."""

    def largest(self, sizes: Integer[np.ndarray, "n 2"]) -> Integer[np.ndarray, "n 2"]:
        """The largest training sizes of images of these sizes, `(height, width)` in pixels each."""
        for transform in self.transforms:
            sizes = transform.largest(sizes, self.buckets)
        return sizes

    def transform(self, kind: type[T]) -> T | None:
        """The first transform of a type, None if there is none."""
        return next((transform for transform in self.transforms if isinstance(transform, kind)), None)
