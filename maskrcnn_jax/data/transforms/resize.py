"""The pixels of an image at another size, as the known systems compute them."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from maskrcnn_jax.ops.images import Interpolation

ImageArray = UInt8[np.ndarray, "H W 3"] | Float32[np.ndarray, "H W 3"]


def resize(
    image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int], interpolation: Interpolation = "rounded"
) -> ImageArray:
    """Interpolates bilinearly at the centres of the new pixels; an image that has its size stays as it is.

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
    """Each axis in turn, at torch's positions: OpenCV's lie up to 1e-4 pixels away, and a deep network sees that."""
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
    """The old pixel before each new one, and the weight of the next: `[new]` each, of positions in float32."""
    centres = np.arange(new) + 0.5
    position = np.maximum((centres * np.float32(old / new) - 0.5).astype(np.float32), 0)
    low = position.astype(np.int64)
    return low, position - low


def _fade(resized: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Mixes the outer pixels of an enlarged image with the black around it, down to its darkest value.

    scikit-image, which Matterport resizes with, takes what is outside for zero: the centre of a new outer pixel lies
    up to half a pixel beyond that of the old one.
    """
    (height, width), (rows, columns) = image.shape[:2], resized.shape[:2]
    return np.maximum(resized * _inside(height, rows)[:, None, None] * _inside(width, columns)[:, None], image.min())


def _inside(old: int, new: int) -> np.ndarray:
    """The weight along one axis that falls on pixels of the image, `[new]` float32."""
    position = (np.arange(new) + 0.5) * old / new - 0.5
    return np.minimum(1, np.minimum(1 + position, old - position)).astype(np.float32)
