"""From the bytes of an image file to RGB."""

import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskrcnn_jax.data.source import BrokenImage

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


ORIENTATION, SWAPPING = 0x0112, (5, 6, 7, 8)
"""EXIF's tag, and its values that exchange height and width."""


class Header(NamedTuple):
    """What an image file says of itself."""

    size: tuple[int, int]
    """(height, width) of the stored raster, pixels."""
    orientation: int
    """EXIF orientation in 1 … 8; 1 where there is none or one that EXIF does not define."""

    def size_of(self, upright: bool) -> tuple[int, int]:
        """(height, width) of the stored raster, or of the upright one."""
        return self.size[::-1] if upright and self.orientation in SWAPPING else self.size


def read_header(data: bytes, name: str) -> Header:
    """Reads size and orientation of an encoded image without decoding its pixels.

    Args:
        data: The file.
        name: What error messages call the image.

    Raises:
        BrokenImage: The file is no image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            orientation = image.getexif().get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenImage(f"{name}: not an image that can be decoded ({len(data)} bytes); give another file") from error
    return Header((height, width), orientation if orientation in range(1, 9) else 1)


def decode(data: bytes, size: tuple[int, int], name: str, upright: bool | None) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes a JPEG, PNG or other file that OpenCV reads, whatever its colours and depth, to 8-bit RGB.

    Args:
        data: The file.
        size: Annotated (height, width).
        name: What error messages call the image.
        upright: Whether annotations refer to the raster turned by the EXIF orientation, not to the one that is stored.
            None for data sets that were prepared before this was recorded: then it is the stored raster if that has
            the annotated size, else the upright one.

    Raises:
        BrokenImage: The file is no image, is truncated, or has another size than annotated.
    """
    if not is_complete(data):
        raise BrokenImage(f"{name}: truncated after {len(data)} bytes; fetch the file again")
    coded = np.frombuffer(data, np.uint8)
    stored = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION) if data else None
    if stored is None:
        raise BrokenImage(f"{name}: not an image that can be decoded ({len(data)} bytes); fetch the file again")
    if upright is None:
        upright = stored.shape[:2] != size
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if upright else stored
    if image is not None and image.shape[:2] == size:
        return image
    height, width = stored.shape[:2]
    raise BrokenImage(
        f"{name}: the file has {height}×{width} pixels (height×width), its annotation says {size[0]}×{size[1]}; "
        "correct the annotation or the file"
    )


def is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end; true of other formats.

    OpenCV decodes truncated files without complaint, the missing part gray. The end marker of a JPEG must follow the
    last scan, because an embedded thumbnail has one, too; some cameras write more bytes behind it.
    """
    if data.startswith(JPEG_START):
        return data.rfind(JPEG_END) > data.rfind(JPEG_SCAN)
    if data.startswith(PNG_START):
        return PNG_END in data[-64:]
    return True


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image file as 8-bit RGB, upright: turned as its EXIF orientation says.

    Raises:
        BrokenImage: The file is no image, or is truncated.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    if not is_complete(data):
        raise BrokenImage(f"{path}: truncated after {len(data)} bytes; fetch the file again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    except cv2.error as error:
        raise BrokenImage(f"{path}: OpenCV refuses to decode it ({error.err}); make it smaller") from error
    if image is None:
        raise BrokenImage(f"{path}: not an image that can be decoded ({len(data)} bytes); give another file")
    return image
