"""Pillow's readers, each for its kind of file only; their errors become `BrokenImage`."""

import io
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import cv2
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.file_kind import (
    AVIF,
    BMP,
    GIF,
    JPEG,
    JPEG_2000,
    NETPBM,
    PNG,
    TGA,
    TIFF,
    WEBP,
    FileKind,
    file_kind,
)
from maskrcnn_jax.data.images.image_end import is_whole, png_chunks

READERS: dict[FileKind, Callable[[Any], ImageFile.ImageFile]] = {
    JPEG: JpegImagePlugin.JpegImageFile,
    PNG: PngImagePlugin.PngImageFile,
    GIF: GifImagePlugin.GifImageFile,
    BMP: BmpImagePlugin.BmpImageFile,
    TIFF: TiffImagePlugin.TiffImageFile,
    WEBP: WebPImagePlugin.WebPImageFile,
    JPEG_2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
    AVIF: AvifImagePlugin.AvifImageFile,
    NETPBM: PpmImagePlugin.PpmImageFile,
    TGA: TgaImagePlugin.TgaImageFile,
}
"""`Image.open` tries all its readers, one of which runs a program (Ghostscript)."""

MOST_PIXELS, LONGEST_SIDE = 2**30, 2**20
"""OpenCV's limits, for all kinds alike."""

ALWAYS_PLAUSIBLE = 2**25
"""Pixels that any file may have."""

DEFLATED_PER_BYTE, OTHERS_PER_BYTE = 1032 * 8, 1032
"""Pixels that one byte may stand for in larger images. zlib makes 1032 bytes of one, and a byte may hold 8 pixels; a
JPEG needs at least a bit per block of 64. Some kinds pack an image of a single colour closer; that is not worth the
memory that a forged header would take."""


@contextmanager
def opened(data: bytes, name: str) -> Generator[tuple[FileKind, ImageFile.ImageFile]]:
    """Opens an image file: what it is, and Pillow's image, whose pixels are not read before it is asked for them.

    Args:
        data: The file.
        name: What error messages call the image.

    Raises:
        BrokenImage: It is none of the images that are decoded, is truncated, has more pixels than can be decoded, or
            more than its bytes can hold; also whatever Pillow raises inside the context.
    """
    kind = file_kind(data)
    if kind.remedy:
        what = f"{kind.name} is not decoded" if kind.is_image else f"not an image but {kind.name}"
        raise BrokenImage(f"{name}: {what} ({len(data)} bytes); {kind.remedy}")
    truncated = f"{name}: truncated after {len(data)} bytes; fetch the file again"
    if not is_whole(data, kind):
        raise BrokenImage(truncated)
    with unlimited(), named_faults(name, kind, truncated):
        image = READERS[kind](io.BytesIO(data))
        width, height = image.size
        require_plausible((height, width), len(data), kind, name)
        yield kind, image


def require_plausible(size: tuple[int, int], length: int, kind: FileKind, name: str) -> None:
    """Raises BrokenImage if an image claims more pixels than `length` bytes can hold, or than can be decoded."""
    height, width = size
    pixels = height * width
    claim = f"{name}: claims {height}×{width} pixels (height×width)"
    per_byte = DEFLATED_PER_BYTE if kind in (PNG, TIFF) else OTHERS_PER_BYTE
    if pixels > max(ALWAYS_PLAUSIBLE, length * per_byte):
        raise BrokenImage(f"{claim}, more than its {length} bytes can hold; give another file")
    if pixels > MOST_PIXELS or max(size) > LONGEST_SIDE:
        raise BrokenImage(
            f"{claim}; no more than {MOST_PIXELS} pixels and {LONGEST_SIDE} a side are decoded; cut it into tiles"
        )


@contextmanager
def named_faults(name: str, kind: FileKind, truncated: str) -> Generator[None]:
    """Turns errors of Pillow and OpenCV into BrokenImage."""
    try:
        yield
    except BrokenImage:
        raise
    except MemoryError as error:
        raise out_of_memory(name) from error
    except Exception as error:  # Pillow's readers raise whatever their parsing meets.
        if "truncated" in str(error).lower():
            raise BrokenImage(truncated) from error
        # Pillow's own words; those of Python on what went wrong inside say nothing of the file.
        found = f" ({error})" if isinstance(error, OSError | SyntaxError | cv2.error) and str(error) else ""
        raise BrokenImage(
            f"{name}: {kind.name} that cannot be decoded{found}; write it again as PNG or JPEG, or give another file"
        ) from error


def out_of_memory(name: str) -> BrokenImage:
    """The error of an image whose pixels do not fit into memory."""
    return BrokenImage(f"{name}: not enough memory for its pixels; cut it into tiles, or use a machine with more")


def orientation_of(data: bytes, kind: FileKind, image: ImageFile.ImageFile) -> int:
    """EXIF orientation in 1 … 8; as in viewers, 1 where there is none, or none that can be read."""
    try:
        if kind == PNG:
            # Pillow's own way decodes all pixels to see whether the tag stands behind them.
            chunk = next((bytes(content) for type_, content in png_chunks(data) if type_ == b"eXIf"), None)
            if chunk is not None:
                image.info["exif"] = chunk
            found = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
        else:
            found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow's readers raise whatever their parsing meets.
        return 1
    return found if isinstance(found, int) and found in range(1, 9) else 1


_lock = threading.Lock()
_inside = 0
_restore = ExitStack()


@contextmanager
def unlimited() -> Generator[None]:
    """Switches off Pillow's own limit of pixels and its warnings about odd files, as long as any thread is inside.

    The limit is meant for servers: it refuses slides and panoramas that training data holds. `require_plausible` takes
    its place. Pillow knows no other way than its global variable.
    """
    global _inside, _restore
    with _lock:
        _inside += 1
        if _inside == 1:
            _restore = ExitStack()
            _restore.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            _restore.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore.close()
