"""Applies a placement to an image and its objects, so that they can be mixed with others."""

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.placement import Placement, place_image


def carry(example: Example, placement: Placement) -> Example:
    """Resizes, crops, rotates and mirrors an image with its objects.

    Args:
        example: The image and its objects.
        placement: What to apply; its origin on the canvas is ignored.

    Returns:
        The image as large as the window, with masks of that size and boxes around them. Objects outside the window
        are left out.
    """
    placement = placement._replace(origin=(0, 0))
    masks = [_carry_mask(mask, placement) for mask in example.masks]
    image = place_image(example.image, placement, placement.shown)
    return Example.of(image, example.image_id, example.labels, masks, example.is_crowd)


def _carry_mask(mask: UInt8[np.ndarray, "H W"], placement: Placement) -> UInt8[np.ndarray, "h w"]:
    """A mask, transformed as `place_image` does its image; pixels that are covered by half or more are set."""
    (height, width), (top, left) = placement.resized, placement.offset
    bottom, right = top + placement.window[0], left + placement.window[1]
    resized = cv2.resize(mask * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    # OpenCV rounds a half to 127 in some pixels and to 128 in others.
    seen = resized[top:bottom, left:right] >= 127
    seen = np.rot90(seen, placement.turns)
    return np.ascontiguousarray(seen[:, ::-1] if placement.flip else seen).astype(np.uint8)
