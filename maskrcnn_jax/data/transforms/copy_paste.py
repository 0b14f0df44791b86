"""Copy-paste augmentation: some objects of one picture, cut out along their masks, put onto another."""

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.buckets import Bucket
from maskrcnn_jax.data.transforms.geometry import Placement, draw_placement, make_row, place_image, whole
from maskrcnn_jax.structs import Batch


def augment_together(
    example: Example,
    donor: Example,
    rng: np.random.Generator,
    config: DataConfig,
    bucket: Bucket,
    centered: bool = False,
) -> Batch:
    """Makes a training row of a picture and objects of another, each resized, cropped and mirrored by itself.

    Args:
        example: The picture that is pasted onto.
        donor: The picture whose objects are pasted.
        rng: Decides everything random; consumed.
        config: What may happen; see `augment`.
        bucket: Padded (height, width).
        centered: Put the picture in the middle; see `InputConfig.centered`.
    """
    below, above = (carry(one, draw_placement(one.image.shape[:2], rng, config, bucket)) for one in (example, donor))
    together = paste(below, above, rng)
    size = together.image.shape[:2]
    return make_row(together, whole(size, size, flip=False), rng, config, bucket, centered)


def carry(example: Example, placement: Placement) -> Example:
    """Resizes, crops and mirrors a picture with its objects.

    Args:
        example: The picture and its objects.
        placement: How; its place on the canvas does not matter.

    Returns:
        The picture as large as the window, with masks of that size and boxes around them. Objects of which the window
        shows nothing are gone.
    """
    placement = placement._replace(origin=(0, 0))
    masks = [_carry_mask(mask, placement) for mask in example.masks]
    image = place_image(example.image, placement, placement.window)
    return _with_masks(example._replace(image=image), masks)


def paste(example: Example, donor: Example, rng: np.random.Generator) -> Example:
    """Puts some of the donor's objects onto a picture, where they are in the donor's.

    Each object that is no crowd goes with a probability of a half. What it covers of other objects is taken from their
    masks; boxes shrink to what is left, and objects of which nothing is left are gone. The two pictures share their
    upper left corner; what lies outside the first is cut off.

    Args:
        example: The picture that is pasted onto.
        donor: The picture whose objects are pasted; it may have another size.
        rng: Decides which; consumed.

    Returns:
        The picture and all its objects, those of the donor last.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation",
    section 3; without the blending of edges, which they found to make no difference.
    """
    size = example.image.shape[:2]
    chosen = np.flatnonzero((rng.random(len(donor.masks)) < 0.5) & ~donor.is_crowd).tolist()
    pasted = [_fit(donor.masks[i], size) for i in chosen]
    covered = np.zeros(size, np.uint8)
    for mask in pasted:
        covered |= mask
    masks = [mask & ~covered for mask in example.masks] + pasted
    together = Example(
        image=np.where(covered[..., None] > 0, _fit(donor.image, size), example.image),
        image_id=example.image_id,
        boxes=np.concatenate([example.boxes, donor.boxes[chosen]]),
        labels=np.concatenate([example.labels, donor.labels[chosen]]),
        is_crowd=np.concatenate([example.is_crowd, donor.is_crowd[chosen]]),
        masks=masks,
    )
    return _with_masks(together, masks)


def _carry_mask(mask: UInt8[np.ndarray, "H W"], placement: Placement) -> UInt8[np.ndarray, "h w"]:
    """A mask as `place_image` carries its picture; pixels of which at least half are covered are set."""
    (height, width), (top, left), (rows, columns) = placement.resized, placement.offset, placement.window
    resized = cv2.resize(mask * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    # OpenCV rounds a half to 127 in some pixels and to 128 in others.
    seen = resized[top : top + rows, left : left + columns] >= 127
    return np.ascontiguousarray(seen[:, ::-1] if placement.flip else seen).astype(np.uint8)


def _with_masks(example: Example, masks: list[UInt8[np.ndarray, "h w"]]) -> Example:
    """The example with these masks, boxes around them, and without the objects whose mask is empty."""
    return Example.of(example.image, example.image_id, example.labels, masks, example.is_crowd)


def _fit(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cuts off or fills up with zeros at the right and bottom."""
    cut = array[: size[0], : size[1]]
    missing = [(0, size[0] - cut.shape[0]), (0, size[1] - cut.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(cut, missing)
