"""Images of every kind that Pillow and OpenCV write, damaged, through all that reads images."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import cv2
import numpy as np
from fuzz_target import FuzzTarget
from mutations import damaged_bytes, zipped
from PIL import Image

from maskrcnn_jax.data.images import reading as images
from maskrcnn_jax.data.images.broken import BrokenImage

SIZES = ((12, 16), (16, 12), (16, 16), (1, 1), (1, 40), (33, 7), (64, 48))
"""(height, width)."""


def pixels(rng: Random, size: tuple[int, int], mode: str) -> Image.Image:
    """A random image of one of Pillow's modes."""
    values = np.frombuffer(rng.randbytes(size[0] * size[1] * 3), np.uint8).reshape(*size, 3)
    image = Image.fromarray(cv2.resize(values[::4, ::4].copy(), size[::-1], interpolation=cv2.INTER_LINEAR))
    if mode in ("I;16", "I", "F"):
        return Image.fromarray(np.asarray(image)[..., 0].astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]) * 200)
    return image.convert(mode)


def exif_of(rng: Random) -> bytes:
    """EXIF with an orientation, now and then one that EXIF does not define."""
    exif = Image.Exif()
    exif[0x0112] = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 77, 65535])
    return exif.tobytes()


SAVED: dict[str, tuple[tuple[str, ...], Callable[[Random], dict]]] = {
    "JPEG": (
        ("RGB", "L", "CMYK"),
        lambda rng: {"progressive": rng.random() < 0.3, "exif": exif_of(rng), "quality": rng.choice([10, 90])},
    ),
    "PNG": (("RGB", "L", "RGBA", "LA", "P", "1", "I;16", "I"), lambda rng: {"exif": exif_of(rng)}),
    "GIF": (("P", "RGB", "L", "RGBA"), lambda rng: {}),
    "BMP": (("RGB", "L", "1", "P"), lambda rng: {}),
    "WEBP": (("RGB", "RGBA"), lambda rng: {"lossless": rng.random() < 0.5, "exif": exif_of(rng)}),
    "TIFF": (
        ("RGB", "L", "RGBA", "CMYK", "I;16", "I", "F", "1", "P", "LAB"),
        lambda rng: {"compression": rng.choice([None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"])},
    ),
    "PPM": (("RGB", "L", "1", "I"), lambda rng: {}),
    "ICO": (("RGBA", "RGB"), lambda rng: {}),
    "TGA": (("RGB", "RGBA", "L"), lambda rng: {}),
    "PCX": (("RGB", "L", "P"), lambda rng: {}),
    "SGI": (("RGB", "L"), lambda rng: {}),
    "JPEG2000": (("RGB", "L", "RGBA"), lambda rng: {}),
    "AVIF": (("RGB", "RGBA"), lambda rng: {}),
    "DDS": (("RGB", "RGBA"), lambda rng: {}),
    "EPS": (("RGB", "L"), lambda rng: {}),
    "PDF": (("RGB",), lambda rng: {}),
    "MPO": (("RGB",), lambda rng: {}),
    "QOI": (("RGB",), lambda rng: {}),
}
"""Pillow's formats: modes, and options at random."""

OPENCV = (".hdr", ".pfm", ".ras", ".jp2", ".png", ".tiff", ".exr")


def encoded(rng: Random, size: tuple[int, int]) -> bytes:
    """An image file that is whole."""
    if rng.random() < 0.1:
        suffix = rng.choice(OPENCV)
        values = np.frombuffer(rng.randbytes(size[0] * size[1] * 3), np.uint8).reshape(*size, 3)
        wide = values.astype(np.float32) if suffix in (".hdr", ".pfm", ".exr") else values
        wide = values.astype(np.uint16) * 16 if suffix in (".png", ".tiff") else wide
        try:
            written, data = cv2.imencode(suffix, wide)
        except cv2.error:  # a build without this format
            written = False
        return data.tobytes() if written else values.tobytes()
    kind = rng.choice([*SAVED, "JPEG", "JPEG", "PNG", "PNG", "TIFF"])
    modes, options = SAVED[kind]
    image, content, chosen = pixels(rng, size, rng.choice(modes)), io.BytesIO(), options(rng)
    if kind in ("GIF", "WEBP", "TIFF", "PNG", "MPO", "AVIF") and rng.random() < 0.3:
        chosen |= {"save_all": True, "append_images": [image.transpose(Image.Transpose.ROTATE_180)]}
    try:
        image.save(content, kind, **chosen)
    except (OSError, ValueError, RuntimeError):  # a mode that the options do not allow, a build without a codec
        content = io.BytesIO()
        image.convert("RGB").save(content, "PNG")
    return content.getvalue()


def claimed(rng: Random, data: bytes) -> bytes:
    """The same file with another size in its header, as a PNG that is right in all else, or as a JPEG."""
    height, width = rng.choice([(50_000, 50_000), (0, 0), (1, 2**31 - 1), (2**31 - 1, 1), (30_000, 30_000), (13, 17)])
    if data.startswith(b"\x89PNG"):
        chunk = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        at = data.find(marker)
        if at > 0:
            return data[: at + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[at + 9 :]
    return damaged_bytes(rng, data)


NO_IMAGES: tuple[Callable[[Random], bytes], ...] = (
    lambda rng: b"",
    lambda rng: rng.randbytes(rng.choice([1, 3, 100, 5000])),
    lambda rng: b"<html><body>404</body></html>",
    lambda rng: b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>",
    lambda rng: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + rng.randbytes(200),
    lambda rng: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    lambda rng: zipped({"a.png": rng.randbytes(10)}),
    lambda rng: b"P6\n" + rng.choice([b"99999 99999", b"-1 5", b"5 x", b"1000000000000 1"]) + b"\n255\n" + b"\x00" * 99,
    lambda rng: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 99999\n",
    lambda rng: b"\xff\xd8\xff\xe0" + rng.randbytes(50) + b"\xff\xd9",
    lambda rng: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100000 100000\n",
)


def image_file(rng: Random, size: tuple[int, int]) -> bytes:
    """An image file, whole or not, or no image at all."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice(NO_IMAGES)(rng)
    data = encoded(rng, size)
    if kind == 1:
        return data
    if kind == 2:
        return claimed(rng, data)
    if kind == 3:
        return data + rng.choice([b"\x00" * 1000, rng.randbytes(500), data, b"\x00\x00\x00\x18ftypmp42" + data])
    if kind == 4:
        return data[: rng.randrange(len(data))]
    return damaged_bytes(rng, data)


def make(rng: Random, folder: Path) -> None:
    size = rng.choice(SIZES)
    height, width = rng.choice([size, size, size[::-1]])
    upright = rng.choice(["", "0", "1"])
    (folder / f"{height}x{width}x{upright}.image").write_bytes(image_file(rng, size))


def read(folder: Path) -> None:
    """Whatever one way of reading says, the others must be harmless, too."""
    [path] = folder.iterdir()
    height, width, upright = path.stem.split("x")
    data, errors = path.read_bytes(), []
    for how in (
        lambda: images.read_header(data, str(path)),
        lambda: images.decode(data, (int(height), int(width)), str(path), bool(int(upright)) if upright else None),
        lambda: images.read_image(path),
    ):
        try:
            how()
        except BrokenImage as error:
            errors.append(error)
    if errors:
        raise errors[-1]


TARGETS = (FuzzTarget("image", make, read),)
