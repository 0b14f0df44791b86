"""Images as people have them, as 8-bit RGB: paths, URLs, Pillow's images and arrays."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import decode_raster, from_pillow, from_unit_range, read_header, read_image

SECONDS, MOST_BYTES = 30, 2**28
"""How long a server may be silent, and the largest file that is fetched."""
CHUNK = 2**20
"""Bytes that are read at once."""


class LoadedImage(NamedTuple):
    """An image and where it is from."""

    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""
    source: str | None
    """Its path or URL; None if it was given in memory."""


def load_images(images: Any) -> list[LoadedImage]:
    """One image or several, as RGB.

    Args:
        images: a path, URL, Pillow image or array, or an iterable of them; an array `[n, h, w, 3]` is `n` images. See
            `to_rgb` for the arrays.

    Raises:
        ValueError: something is no image; the message names it. BrokenImage, a ValueError, if a file is none.
        OSError: a file or URL cannot be read.
    """
    if _is_single(images):
        return [load_image(images, "images")]
    if not isinstance(images, Iterable) or isinstance(images, dict):
        raise ValueError(f"images is {_what(images)}: pass a path, URL, Pillow image or array, or a list of them")
    return [load_image(image, f"images[{i}]") for i, image in enumerate(images)]


def load_image(image: Any, name: str) -> LoadedImage:
    """One image as RGB; `name` is what errors call it. See `load_images`."""
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        data = _fetch(image)
        return LoadedImage(decode_raster(data, read_header(data, image), image, upright=True), image)
    if isinstance(image, str | os.PathLike):
        return LoadedImage(read_image(Path(image)), os.fspath(image))
    if isinstance(image, Image.Image):
        return LoadedImage(_from_pillow(image, name), getattr(image, "filename", None) or None)
    if _is_array(image):
        return LoadedImage(to_rgb(np.asarray(image), name), None)
    raise ValueError(f"{name} is {_what(image)}: pass a path, URL, Pillow image or array")


def to_rgb(array: np.ndarray, name: str = "image") -> UInt8[np.ndarray, "h w 3"]:
    """An array as 8-bit RGB, by the same rules as `read_image`.

    Args:
        array: `[h, w]` or `[h, w, 1]` gray, `[h, w, 3]` RGB or `[h, w, 4]` RGB and opacity, which is ignored; uint8,
            uint16, of which 65535 is white, or float in [0, 1].
        name: What error messages call the image.

    Raises:
        ValueError: the array has another shape or type, no pixels, or floats outside [0, 1].
    """
    shape, kind = array.shape, array.dtype
    if array.ndim == 3 and shape[2] not in (1, 3, 4) and shape[0] in (1, 3, 4):
        raise ValueError(f"{name} is {kind} of shape {shape}, channels first: pass (height, width, channels)")
    if array.ndim not in (2, 3) or 0 in shape or (array.ndim == 3 and shape[2] not in (1, 3, 4)):
        raise ValueError(f"{name} is {kind} of shape {shape}: pass (height, width, 3) RGB or (height, width) gray")
    if kind == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif np.issubdtype(kind, np.floating):
        array = from_unit_range(array, name)
    elif kind != np.uint8:
        raise ValueError(f"{name} is {kind} of shape {shape}: pass uint8, uint16, or floating point in [0, 1]")
    channels = array.reshape(*shape[:2], -1)
    return np.ascontiguousarray(channels[..., :3] if channels.shape[2] > 1 else np.repeat(channels, 3, axis=2))


def _from_pillow(image: Image.Image, name: str) -> UInt8[np.ndarray, "h w 3"]:
    try:
        upright = ImageOps.exif_transpose(image)
    except OSError as error:  # its pixels are read here
        raise BrokenImage(f"{name}: Pillow cannot read its pixels ({error}); fetch the file again") from error
    return from_pillow(upright, name)


def _fetch(url: str) -> bytes:
    import requests  # about 90 ms, which only those pay who pass a URL

    remedy = "save the image and pass its path"
    data = bytearray()
    try:
        with requests.get(url, timeout=SECONDS, stream=True) as response:
            response.raise_for_status()
            for part in response.iter_content(CHUNK):
                data += part
                if len(data) > MOST_BYTES:
                    raise OSError(f"{url}: larger than {MOST_BYTES >> 20} MiB; {remedy}")
    except requests.RequestException as error:
        raise OSError(f"{url} cannot be fetched ({error}); check the address, or {remedy}") from error
    return bytes(data)


def _is_single(images: Any) -> bool:
    return isinstance(images, str | os.PathLike | Image.Image) or (_is_array(images) and np.ndim(images) != 4)


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, Image.Image)


def _what(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
