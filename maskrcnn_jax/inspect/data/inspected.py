"""A data set to inspect, and one of its images as a training sample with its targets."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float

from maskrcnn_jax.config import Config, DataConfig
from maskrcnn_jax.data import BrokenImage, Example, ImageSource
from maskrcnn_jax.data.augment import augment
from maskrcnn_jax.data.order import slot_rng
from maskrcnn_jax.data.pipeline import require_images, train_buckets
from maskrcnn_jax.data.transforms.buckets import Bucket
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.placing import ScaleJitter
from maskrcnn_jax.inspect.choice import choose_image
from maskrcnn_jax.inspect.data.anchor_targets import AnchorTargets, Pyramid, anchor_targets, build_pyramid
from maskrcnn_jax.inspect.data.numbers import DataNumbers, read_numbers
from maskrcnn_jax.inspect.data.roi_targets import RoiTargets, random_proposals, roi_targets
from maskrcnn_jax.ops.images import valid_regions
from maskrcnn_jax.structs import Batch, GroundTruth
from maskrcnn_jax.training.step import to_model_boxes

Split = Literal["train", "validation"]


@dataclass(frozen=True)
class InspectedData:
    """A data set and one of its images; what belongs to the image is computed lazily."""

    config: Config
    source: ImageSource
    numbers: DataNumbers
    """Of images drawn at random."""
    example: Example
    """The image as it is stored."""
    bucket: Bucket
    """Its padded (height, width) in a batch."""
    seed: int
    """Of all random choices."""

    @property
    def names(self) -> Sequence[str]:
        """The classes by label."""
        return self.source.class_names

    def rng(self, step: int) -> np.random.Generator:
        """The generator of one step, independent of the other steps."""
        return np.random.default_rng((self.seed, step))

    @cached_property
    def sample(self) -> Batch:
        """The training sample of the image without random augmentation; no leading `B`."""
        return self.augmented(without_randomness(self.config.data))

    def augmented(self, data: DataConfig, step: int = 0) -> Batch:
        """The training sample of the image with these settings in a step; no leading `B`."""
        config = dataclasses.replace(self.config, data=data)
        return training_sample(self.example, config, self.bucket, self.seed, step)

    @cached_property
    def objects(self) -> GroundTruth:
        """The objects of `sample`, with boxes in the model's convention."""
        return jax.device_get(to_model_boxes(self.sample.ground_truth, self.config.model))

    @cached_property
    def pyramid(self) -> Pyramid:
        """The anchors of the padded size."""
        return build_pyramid(self.config, self.bucket)

    @cached_property
    def anchor_targets(self) -> AnchorTargets:
        """The targets of the anchors for `sample`."""
        return anchor_targets(jax.random.key(self.seed), self.pyramid.anchors, self.objects, self.config)

    @cached_property
    def roi_targets(self) -> RoiTargets:
        """RoIs that are sampled from random proposals for `sample`, and their targets."""
        region = np.asarray(valid_regions(self.sample.image_sizes[None], self.bucket, self.config.model.input))[0]
        proposals = random_proposals(self.rng(3), self.objects, region)
        return roi_targets(jax.random.key(self.seed), proposals, self.objects, self.config, len(self.names))


def open_data(
    config: Config, split: Split = "train", *, seed: int = 0, image_id: int | str | None = None, images: int = 1000
) -> InspectedData:
    """Opens a data set and reads statistics of its images.

    Args:
        config: Of the experiment.
        split: `config.data.train` or `config.data.validation`.
        seed: Of the random images and boxes, at least 0.
        image_id: The data set's own number of the image to show, or its file name; a random one with objects if None.
        images: Number of images to read, at most.

    Raises:
        ConfigError: The data set cannot be opened, is empty, or an image fits no bucket.
        BrokenImage: The image asked for, or every image, cannot be decoded.
        ValueError: There is no image of this number, `images` is below 1 or `seed` below 0.
    """
    if images < 1:
        raise ValueError(f"images = {images}: must be at least 1")
    if seed < 0:
        raise ValueError(f"seed = {seed}: must be at least 0")
    source = (config.data.train if split == "train" else config.data.validation).open()
    require_images(source)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(source), min(images, len(source)), replace=False)
    numbers = read_numbers(source, drawn.tolist(), config.data.threads)
    if not numbers.images:
        raise BrokenImage(f"no image of {len(numbers.broken)} can be read, the first: {numbers.broken[0]}")
    position = choose_image(source, image_id, seed)
    return InspectedData(config, source, numbers, source[position], bucket_of(source, position, config.data), seed)


def without_randomness(data: DataConfig) -> DataConfig:
    """The same pipeline without randomness: no flip, no colour jitter, no pasting, the largest size, no crop."""
    fixed = [transform.without_randomness() for transform in data.transforms]
    return dataclasses.replace(data, transforms=tuple(transform for transform in fixed if transform is not None))


def bucket_of(source: ImageSource, position: int, data: DataConfig) -> Bucket:
    """The padded (height, width) that an image gets in training.

    Raises:
        ConfigError: An image of the source fits no bucket.
    """
    return data.buckets[int(train_buckets(source, data)[position])]


def training_sample(example: Example, config: Config, bucket: Bucket, seed: int, step: int = 0) -> Batch:
    """The sample that the image gives in the first slot of a step's batch; no leading `B`."""
    generators = Generators(slot_rng(seed, step, 0))
    return augment(example, generators, config.data, bucket, config.model.input.centered)


def network_scales(sizes: Sequence[tuple[int, int]], data: DataConfig) -> Float[np.ndarray, " i"]:
    """Network pixels per stored pixel of images, (height, width) each, at the largest training size."""
    if (jitter := data.transform(ScaleJitter)) is not None:
        return np.divide(data.buckets[0], sizes).min(axis=1) * jitter.high
    resized = data.largest(np.array(sizes))
    return np.sqrt(np.divide(resized, sizes).prod(axis=1))
