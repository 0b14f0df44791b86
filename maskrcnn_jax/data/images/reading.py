"""From the bytes of an image file to RGB."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, TiffImagePlugin

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.file_kind import JPEG, PNG, TIFF, WEBP, FileKind
from maskrcnn_jax.data.images.orientation import SWAPPING, stored, turned
from maskrcnn_jax.data.images.pillow_image import opened, orientation_of, out_of_memory
from maskrcnn_jax.files.reading import read_bytes

WIDE = ("I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's names of gray values of 16 bits."""


class Header(NamedTuple):
    """The header of an image file."""

    size: tuple[int, int]
    """(height, width) of the stored raster, pixels."""
    orientation: int
    """EXIF orientation in 1 … 8; 1 where there is none or one that EXIF does not define."""
    kind: FileKind

    def size_of(self, upright: bool) -> tuple[int, int]:
        """(height, width) of the stored raster, or of the upright one."""
        return self.size[::-1] if upright and self.orientation in SWAPPING else self.size


def read_header(data: bytes, name: str) -> Header:
    """Reads size and orientation of an encoded image without decoding its pixels.

    Args:
        data: The file.
        name: What error messages call the image.

    Raises:
        BrokenImage: The file is no image that can be decoded, is truncated, or claims more pixels than can be decoded
            or than its bytes can hold.
    """
    with opened(data, name) as (kind, image):
        width, height = image.size
        orientation = orientation_of(data, kind, image)
        # Pillow says the size of a TIFF as it is upright.
        is_swapped = kind == TIFF and orientation in SWAPPING
        return Header((width, height) if is_swapped else (height, width), orientation, kind)


def decode(data: bytes, size: tuple[int, int], name: str, upright: bool | None) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes an image file of any colours and depth to 8-bit RGB.

    Of several frames or pages it is the first. Transparency is ignored. Values of 16 bits are divided by 256, floating
    point values in [0, 1] multiplied by 255.

    Args:
        data: The file.
        size: Annotated (height, width).
        name: What error messages call the image.
        upright: Whether annotations refer to the raster turned by the EXIF orientation, not to the one that is stored.
            None for data sets that were prepared before this was recorded: then it is the stored raster if that has
            the annotated size, else the upright one.

    Raises:
        BrokenImage: The file is no image, is truncated or too large, or has another size than annotated.
    """
    header = read_header(data, name)
    if upright is None:
        upright = header.size != size
    found = header.size_of(upright)
    if found != size:
        what = ""
        if header.size_of(not upright) == size:
            seen, other = ("upright", "stored") if upright else ("stored", "upright")
            what = f" when {seen} (EXIF orientation {header.orientation}), its {other} raster has that size"
        raise BrokenImage(
            f"{name}: the file has {found[0]}×{found[1]} pixels (height×width), its annotation says "
            f"{size[0]}×{size[1]}{what and ';' + what}; correct the annotation or the file"
        )
    return decode_raster(data, header, name, upright)


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image file as 8-bit RGB, upright: turned as its EXIF orientation says.

    Raises:
        BrokenImage: The file is no image, is truncated or too large.
        OSError: The file cannot be read.
    """
    data = read_bytes(path)
    return decode_raster(data, read_header(data, str(path)), str(path), upright=True)


def decode_raster(data: bytes, header: Header, name: str, upright: bool) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes one of the two rasters of a file whose header was read."""
    decode_stored = decode_by_opencv if header.kind in (JPEG, PNG, WEBP) else decode_by_pillow
    raster = decode_stored(data, header, name)
    return turned(raster, header.orientation) if upright else raster


def decode_by_opencv(data: bytes, header: Header, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes the stored raster of a JPEG, PNG or WebP, faster than Pillow and in less memory."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
            raise out_of_memory(name) from error
        raise damaged(name, header.kind, f"{len(data)} bytes, OpenCV: {error.err}") from error
    if image is None or image.shape != (*header.size, 3):
        raise damaged(name, header.kind, f"{len(data)} bytes")
    return image


def damaged(name: str, kind: FileKind, found: str) -> BrokenImage:
    """The error of an image whose header can be read and whose pixels cannot."""
    return BrokenImage(
        f"{name}: {kind.name} whose pixels cannot be decoded ({found}); write it again or give another file"
    )


def decode_by_pillow(data: bytes, header: Header, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes the stored raster of other kinds; Pillow notices damage in them that OpenCV does not."""
    with opened(data, name) as (kind, image):
        bits = image.tag_v2.get(258, (16,))[0] if isinstance(image, TiffImagePlugin.TiffImageFile) else 16
        image.load()
        # Of other kinds than TIFF Pillow gives 16 bits as whole numbers of 32 bits.
        rgb = from_pillow(image.convert("I;16") if image.mode == "I" and kind != TIFF else image, name, bits)
    # Pillow turns a TIFF by itself.
    return stored(rgb, header.orientation) if kind == TIFF else rgb


def from_pillow(image: Image.Image, name: str, bits: int = 16) -> UInt8[np.ndarray, "H W 3"]:
    """8-bit RGB of Pillow's image, in any mode, by the rules of `decode`; not turned.

    Args:
        image: Its pixels are loaded.
        name: What error messages call the image.
        bits: Of the values of an image with more than 8.

    Raises:
        BrokenImage: It has whole numbers of 32 bits, or floating point values outside [0, 1].
    """
    if image.mode in WIDE:
        gray = (np.asarray(image).astype(np.uint16) >> np.uint16(bits - 8)).astype(np.uint8)
    elif image.mode == "F":
        gray = from_unit_range(np.asarray(image), name)
    elif image.mode == "I":
        low, high = image.getextrema()
        raise BrokenImage(
            f"{name}: has whole numbers of 32 bits, from {low} to {high}; write them with 8 or 16 bits, scaled to "
            "the whole range"
        )
    else:
        image.info.pop("transparency", None)
        gray = np.asarray(image if image.mode in ("RGB", "L") else image.convert("RGB"))
    return np.repeat(gray[..., None], 3, axis=2) if gray.ndim == 2 else gray


def from_unit_range(values: np.ndarray, name: str) -> UInt8[np.ndarray, "..."]:
    """Turns floating point values in [0, 1] into whole numbers of 8 bits.

    Raises:
        BrokenImage: There are others, whose black and white nothing tells.
    """
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise BrokenImage(
            f"{name}: has floating point values from {low:g} to {high:g}; scale them so that 0 is black and 1 is "
            "white, or write 8-bit or 16-bit whole numbers"
        )
    return np.rint(values * 255).astype(np.uint8)
