"""One picture on its way into a batch: the row that training makes of it, with or without chance."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from maskrcnn_jax.config import Config, DataConfig
from maskrcnn_jax.data.order import slot_rng
from maskrcnn_jax.data.pipeline import train_buckets
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.data.transforms.buckets import Bucket, resized_sizes
from maskrcnn_jax.data.transforms.geometry import augment
from maskrcnn_jax.structs import Batch


def without_chance(data: DataConfig) -> DataConfig:
    """The same pipeline without chance: no flip, no recolouring, no pasting, the largest size, everything kept."""
    whole = None if data.scale_jitter is None else (1.0, 1.0)
    edges = (max(data.shortest_edges),)
    return dataclasses.replace(
        data, flip=0.0, color_jitter=0.0, copy_paste=0.0, shortest_edges=edges, scale_jitter=whole
    )


def bucket_of(source: ImageSource, position: int, data: DataConfig) -> Bucket:
    """The padded (height, width) that a picture gets in training.

    Raises:
        ConfigError: a picture of the source fits no bucket.
    """
    return data.buckets[int(train_buckets(source, data)[position])]


def training_row(example: Example, config: Config, bucket: Bucket, seed: int, step: int = 0) -> Batch:
    """What the first slot of a step's batch would be, were it this picture's: no leading `B`."""
    return augment(example, slot_rng(seed, step, 0), config.data, bucket, config.model.input.centered)


def network_scales(sizes: Sequence[tuple[int, int]], data: DataConfig) -> Float[np.ndarray, " i"]:
    """Network pixels per stored pixel of pictures, (height, width) each, at the largest size that training gives."""
    if data.scale_jitter is None:
        resized = resized_sizes(np.array(sizes), max(data.shortest_edges), data.longest_edge)
        return np.sqrt(np.divide(resized, sizes).prod(axis=1))
    return np.divide(data.buckets[0], sizes).min(axis=1) * data.scale_jitter[1]
