"""Resizing images, with the interpolations of the supported systems."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from maskrcnn_jax.ops.images import Interpolation

ImageArray = UInt8[np.ndarray, "H W 3"] | Float32[np.ndarray, "H W 3"]


def resize(
    image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int], interpolation: Interpolation = "rounded"
) -> ImageArray:
    """Interpolates bilinearly at the centres of the new pixels; an image of that size is returned unchanged.

    Args:
        image: RGB.
        size: New (height, width), pixels.
        interpolation: See `InputConfig.interpolation`.

    Returns:
        `[height, width, 3]`, float32 in [0, 255] with "exact", else uint8.

    Source: torchvision `GeneralizedRCNNTransform` ("exact"), Detectron2 `ResizeTransform` ("antialiased"), Matterport
    `resize_image` ("truncated").
    """
    if interpolation == "exact":
        return _exact(image.astype(np.float32), size)
    if image.shape[:2] == size:
        return image
    if interpolation == "antialiased":
        return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    if interpolation == "truncated":
        exact = cv2.resize(image.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        return _fade(exact, image).astype(np.uint8)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def _exact(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each axis in turn, at torch's positions: OpenCV's differ by up to 1e-4 pixels, which changes detections."""
    for axis in (0, 1):
        if image.shape[axis] != size[axis]:
            low, upper = _neighbours(image.shape[axis], size[axis])
            near, far = np.take(image, low, axis), np.take(image, low + 1, axis, mode="clip")
            far -= near
            far *= upper.reshape(-1, *[1] * (2 - axis))
            far += near
            image = far
    return image


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """The old pixel before each new one and the weight of the next, `[new]` each; positions are float32."""
    centres = np.arange(new) + 0.5
    position = np.maximum((centres * np.float32(old / new) - 0.5).astype(np.float32), 0)
    low = position.astype(np.int64)
    return low, position - low


def _fade(resized: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Blends the outer pixels of an enlarged image with black, down to the image's darkest value.

    scikit-image, which Matterport uses, pads with zeros: the centre of a new outer pixel is up to half a pixel beyond
    that of the old one.
    """
    (height, width), (new_height, new_width) = image.shape[:2], resized.shape[:2]
    faded = resized * _inside(height, new_height)[:, None, None] * _inside(width, new_width)[:, None]
    return np.maximum(faded, image.min())


def _inside(old: int, new: int) -> np.ndarray:
    """The interpolation weight along one axis that falls on the image, `[new]` float32."""
    position = (np.arange(new) + 0.5) * old / new - 0.5
    return np.minimum(1, np.minimum(1 + position, old - position)).astype(np.float32)
