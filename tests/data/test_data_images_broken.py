"""Files that are no images, truncated, damaged, or claim what they do not hold."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from conftest import encode, make_image, written
from PIL import ExifTags, Image

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.pillow_image import ALWAYS_PLAUSIBLE
from maskrcnn_jax.data.images.reading import decode, read_header, read_image

SIZE = (40, 60)


def with_thumbnail() -> bytes:
    """A JPEG of SIZE with a thumbnail's end marker in its EXIF block."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "thumbnail \xff\xd9"
    return written(make_image(*SIZE), "JPEG", quality=95, exif=exif)


def png_header(height: int, width: int, content: bytes = b"") -> bytes:
    """A PNG of 1 bit per pixel that claims a size and holds nothing, or `content` as its pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", content), (b"IEND", b"")]
    body = (struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize(
    "data", [with_thumbnail(), encode(make_image(*SIZE), ".jpg"), encode(make_image(*SIZE), ".png")]
)
@pytest.mark.parametrize("share", [0.6, 0.9, 0.999])
def test_truncated(data, share):
    with pytest.raises(BrokenImage, match=r"^dog: truncated after \d+ bytes; fetch the file again$"):
        decode(data[: int(share * len(data))], SIZE, "dog", upright=False)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
        ("GIF", {}),
        ("PPM", {}),
        ("AVIF", {}),
        ("JPEG2000", {}),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_other_kinds_are_refused_if_truncated(kind, options, share):
    data = written(make_image(*SIZE), kind, **options)
    with pytest.raises(BrokenImage, match=r"^dog: (truncated after \d+ bytes; fetch|(GIF|JPEG 2000) that cannot)"):
        decode(data[: int(share * len(data))], SIZE, "dog", upright=False)


@pytest.mark.parametrize("behind", [b"\0" * 1000, b"\xff\xda\xff\xd9\xff\xda", with_thumbnail()])
def test_bytes_behind_the_end_do_no_harm(behind):
    data = encode(make_image(*SIZE), ".jpg")
    expected = decode(data, SIZE, "x", upright=False)
    np.testing.assert_array_equal(decode(data + behind, SIZE, "x", upright=False), expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"bird: not an image but an empty file \(0 bytes\); fetch it again"),
        (b"<html>not found</html>", r"bird: not an image but a web page \(HTML\), .* \(22 bytes\); fetch the image"),
        (b"hello", r"bird: not an image but text \(5 bytes\); give an image in its place, or remove it"),
        (b"PK\3\4" + b"\0" * 99, r"bird: not an image but a ZIP archive \(103 bytes\); unpack it"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"bird: HEIC is not decoded \(24 bytes\); convert it to JPEG"),
    ],
)
def test_no_image(data, message):
    with pytest.raises(BrokenImage, match=message):
        decode(data, SIZE, "bird", upright=False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "AVIF", "PPM", "TGA"])
def test_damaged_files_are_read_or_named(kind):
    """Whatever Pillow and OpenCV raise has the image's name."""
    whole = written(make_image(16, 16), kind)
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(60):
        data = bytearray(whole)
        for position in rng.integers(0, min(len(data), 120), 3):
            data[position] = rng.integers(256)
        try:
            decode(bytes(data), (16, 16), "owl", upright=True)
        except BrokenImage as error:
            broken += 1
            assert str(error).startswith("owl: ") and "\n" not in str(error)
    assert broken


@pytest.mark.parametrize("size", [(50000, 50000), (2**31 - 1, 2**31 - 1), (1, 2**25 + 1)])
def test_a_claim_that_the_bytes_cannot_hold(size):
    data = png_header(*size)
    with pytest.raises(BrokenImage, match=rf"x: claims {size[0]}×{size[1]} .*, more than its 57 bytes can hold; give"):
        read_header(data, "x")


def test_a_claim_in_other_headers():
    bmp = bytearray(written(make_image(9, 9), "BMP"))
    bmp[18:26] = struct.pack("<ii", 40000, 40000)
    gif = bytearray(written(make_image(9, 9), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    for data in (bmp, gif):
        with pytest.raises(BrokenImage, match=r"x: claims \d+×\d+ pixels .*, more than its \d+ bytes can hold"):
            read_header(bytes(data), "x")


def test_more_pixels_than_can_be_decoded():
    data = png_header(2**15, 2**15 + 8, b"\0" * 131073)  # 2^30 + 2^18 pixels, at 8256 a byte of 130,056 bytes and more.
    with pytest.raises(BrokenImage, match=r"claims 32768×32776 pixels .*; no more than 1073741824 pixels .*into tiles"):
        read_header(data, "x")
    long = png_header(1, 2**20 + 1)
    with pytest.raises(BrokenImage, match="1048576 a side are decoded; cut it into tiles"):
        read_header(long, "x")


def test_a_large_image_is_read_without_a_warning():
    """Pillow warns above 89 million pixels and refuses above 179 million; it keeps doing so elsewhere."""
    height, width = 9600, 20000
    content = zlib.compress(bytes(height * (1 + width // 8)))
    assert height * width > max(2 * Image.MAX_IMAGE_PIXELS, ALWAYS_PLAUSIBLE)
    assert read_header(png_header(height, width, content), "x").size == (height, width)
    assert Image.MAX_IMAGE_PIXELS == 89478485


def test_a_size_above_the_limit_of_pillow_is_decoded_by_pillow():
    # 95 million pixels of 1 bit, 20 kB: of kind TIFF, for which Pillow is used.
    data = written(Image.new("1", (10000, 9500)), "TIFF", compression="tiff_deflate")
    assert not decode(data, (9500, 10000), "x", upright=False).any()


def test_lack_of_memory_is_named(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(BrokenImage, match="x: not enough memory for its pixels; cut it into tiles"):
        decode(encode(make_image(*SIZE), ".png"), SIZE, "x", upright=False)


@pytest.mark.parametrize("data", [b"", b"hello", encode(make_image(9, 9), ".png")[:-5], png_header(50000, 50000)])
def test_a_file_that_is_no_image(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(BrokenImage, match=r"a\.jpg: (not an image|truncated|claims)"):
        read_image(tmp_path / "a.jpg")
