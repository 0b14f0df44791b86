"""An image with its objects, placed for good, so that it can be mixed with others."""

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.placement import Placement, place_image


def carry(example: Example, placement: Placement) -> Example:
    """Resizes, crops, turns and mirrors an image with its objects.

    Args:
        example: The image and its objects.
        placement: How; its place on the canvas does not matter.

    Returns:
        The image as large as the window, with masks of that size and boxes around them. Objects of which the window
        shows nothing are gone.
    """
    placement = placement._replace(origin=(0, 0))
    masks = [_carry_mask(mask, placement) for mask in example.masks]
    image = place_image(example.image, placement, placement.shown)
    return Example.of(image, example.image_id, example.labels, masks, example.is_crowd)


def _carry_mask(mask: UInt8[np.ndarray, "H W"], placement: Placement) -> UInt8[np.ndarray, "h w"]:
    """A mask as `place_image` carries its image; pixels of which at least half are covered are set."""
    (height, width), (top, left), (rows, columns) = placement.resized, placement.offset, placement.window
    resized = cv2.resize(mask * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    # OpenCV rounds a half to 127 in some pixels and to 128 in others.
    seen = resized[top : top + rows, left : left + columns] >= 127
    seen = np.rot90(seen, placement.turns)
    return np.ascontiguousarray(seen[:, ::-1] if placement.flip else seen).astype(np.uint8)
