"""From an example to a training sample: applies the transforms of a configuration."""

from collections.abc import Sequence

import numpy as np

from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.buckets import Bucket
from maskrcnn_jax.data.transforms.carry import carry
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.geometry import place_objects
from maskrcnn_jax.data.transforms.placement import Placement, center, place_image, whole
from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.messages.config_error import require
from maskrcnn_jax.structs import Batch


def augment(
    example: Example,
    generators: Generators,
    config: DataConfig,
    bucket: Bucket,
    centered: bool = False,
    others: Sequence[tuple[Transform, Example]] = (),
) -> Batch:
    """Makes a training sample: a `Batch` without the leading axis.

    Args:
        example: The image and its objects.
        generators: Decide everything random; consumed.
        config: The transforms, and the numbers of slots and mask cells.
        bucket: Padded (height, width).
        centered: Put the image in the middle; see `InputConfig.centered`.
        others: Images to mix in, each with the transform that does so; each has its own placement.

    Raises:
        ConfigError: The transforms make an image larger than its bucket.
    """
    size = _size(example)
    placement = draw_placement(size, generators, config, bucket)
    if others:
        # All placements are drawn before any image is mixed.
        placements = [draw_placement(_size(other), generators, config, bucket) for _, other in others]
        example = carry(example, placement)
        for (transform, other), drawn in zip(others, placements, strict=True):
            example = transform.mix(example, carry(other, drawn), generators.of(transform))
        placement = whole(_size(example), _size(example), flip=False)
    if centered:
        placement = center(placement, bucket)
    image = place_image(example.image, placement, bucket)
    for transform in config.transforms:
        image = transform.recolor(image, generators.of(transform))
    ground_truth = place_objects(example, placement, config.max_objects, config.mask_size)
    return Batch(image, np.array(placement.shown, np.float32), ground_truth, np.array(example.image_id, np.int64))


def draw_placement(size: tuple[int, int], generators: Generators, config: DataConfig, bucket: Bucket) -> Placement:
    """Draws the placement of an image of `size` = (height, width) on a canvas, by all transforms in their order.

    Raises:
        ConfigError: The result is larger than the canvas.
    """
    placement = whole(size, size, flip=False)
    for transform in config.transforms:
        placement = transform.place(placement, bucket, generators.of(transform))
    fits = placement.shown[0] <= bucket[0] and placement.shown[1] <= bucket[1]
    remedy = f"make an image of {size} pixels {placement.shown}, (height, width), which its bucket {bucket} cannot hold"
    require(fits, "data.transforms", [transform.name for transform in config.transforms], remedy)
    return placement


def _size(example: Example) -> tuple[int, int]:
    height, width = example.image.shape[:2]
    return height, width
