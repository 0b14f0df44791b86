"""From the bytes of an image file to RGB."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.source import BrokenImage

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"IEND\xaeB`\x82"


def decode(data: bytes, size: tuple[int, int], name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes a JPEG, PNG or other file that OpenCV reads, whatever its colours and depth, to 8-bit RGB.

    Annotations refer to the raster as stored if that has the annotated size, as COCO's own tools assume; else to the
    raster turned by the EXIF orientation, as annotation tools that honour it assume.

    Args:
        data: The file.
        size: Annotated (height, width).
        name: What error messages call the image.

    Raises:
        BrokenImage: The file is no image, is truncated, or has another size than annotated.
    """
    if not is_complete(data):
        raise BrokenImage(f"{name}: truncated after {len(data)} bytes; fetch the file again")
    coded = np.frombuffer(data, np.uint8)
    stored = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION) if data else None
    if stored is None:
        raise BrokenImage(f"{name}: not an image that can be decoded ({len(data)} bytes); fetch the file again")
    if stored.shape[:2] == size:
        return stored
    turned = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB)
    if turned is not None and turned.shape[:2] == size:
        return turned
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
