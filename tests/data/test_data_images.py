import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from conftest import encode, picture
from PIL import ExifTags, Image, ImageOps

from maskrcnn_jax.data.images import decode, read_header, read_image
from maskrcnn_jax.data.pillow_image import ALWAYS_PLAUSIBLE
from maskrcnn_jax.data.source import BrokenImage

SIZE = (40, 60)


def written(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return file.getvalue()


def jpeg(image: Image.Image, **options) -> bytes:
    return written(image, "JPEG", quality=95, **options)


def with_orientation(kind: str, orientation: int, image: np.ndarray, **options) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return written(image, kind, exif=exif, **options)


def rotated(orientation: int) -> bytes:
    """A JPEG of SIZE with an EXIF orientation and a thumbnail's end marker in its EXIF block."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.ImageDescription] = "thumbnail \xff\xd9"
    return jpeg(Image.fromarray(picture(*SIZE)), exif=exif)


def png_header(height: int, width: int, content: bytes = b"") -> bytes:
    """A PNG of 1 bit per pixel that claims a size and holds nothing, or `content` as its pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", content), (b"IEND", b"")]
    body = (struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_rgb(suffix):
    image = decode(encode(picture(*SIZE), suffix), SIZE, "x", upright=False)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture(*SIZE))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("TGA", {}),
        ("TGA", {"compression": "tga_rle"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {}),
    ],
)
def test_lossless_rgb_of_other_kinds(kind, options):
    data = written(picture(*SIZE), kind, **options)
    np.testing.assert_array_equal(decode(data, SIZE, "x", upright=False), picture(*SIZE))


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "WEBP"])
def test_lossy_kinds_equal_pillow(kind):
    data = written(picture(*SIZE), kind, quality=95)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 2


MODES = {
    "PNG": ["1", "L", "LA", "P", "RGBA"],
    "TIFF": ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"],
    "GIF": ["1", "L", "P", "RGB"],
    "TGA": ["1", "L", "LA", "P", "RGBA"],
    "BMP": ["1", "L", "P", "RGBA"],
    "PPM": ["1", "L"],
    "JPEG2000": ["L", "LA", "RGBA", "CMYK", "YCbCr"],
}
"""What Pillow writes of each kind."""


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_colours_equal_pillows(kind, mode):
    image = Image.fromarray(picture(*SIZE)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(SIZE[::-1]))
    data = written(image, kind)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp", ".pgm"])
def test_gray_becomes_three_equal_channels(suffix):
    gray = picture(*SIZE)[..., 0]
    image = decode(cv2.imencode(suffix, gray)[1].tobytes(), SIZE, "x", upright=False)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - gray).max() <= (4 if suffix == ".jpg" else 0)


def test_transparency_is_ignored():
    alpha = np.arange(40 * 60, dtype=np.uint32).astype(np.uint8).reshape(40, 60)
    data = written(np.dstack([picture(*SIZE), alpha]), "PNG")
    np.testing.assert_array_equal(decode(data, SIZE, "x", upright=False), picture(*SIZE))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm", ".jp2"])
def test_sixteen_bits_keep_their_brightness(suffix):
    # 257 · v is the 16-bit form of v: 255 becomes 65535.
    wide = picture(*SIZE)[..., ::-1].astype(np.uint16) * 257
    data = cv2.imencode(suffix, wide)[1].tobytes()
    lossy = int(suffix == ".jp2")
    assert np.abs(decode(data, SIZE, "x", upright=False).astype(int) - picture(*SIZE)).max() <= lossy
    gray = cv2.imencode(suffix.replace("ppm", "pgm"), wide[..., 2])[1].tobytes()
    found = decode(gray, SIZE, "x", upright=False).astype(int)
    assert np.abs(found - picture(*SIZE)[..., :1]).max() <= lossy


def test_twelve_bits_in_sixteen_are_dark():
    # 4095 is white of 12 bits; of 16 bits it is 4095 / 256 = 15.
    data = written(np.full(SIZE, 4095, np.uint16), "PNG")
    assert (decode(data, SIZE, "x", upright=False) == 15).all()


def test_floating_point_from_0_to_1():
    values = np.linspace(0, 1, 2400, dtype=np.float32).reshape(SIZE)
    image = decode(written(values, "TIFF"), SIZE, "x", upright=False)
    assert image[0, 0].tolist() == [0, 0, 0] and image[-1, -1].tolist() == [255, 255, 255]
    # Of the 2400 values from 0 to 1 the 1200th is 1200 / 2399 = 0.50021: 127.55.
    assert image[20, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.float32([[0, 255]]), "x: has floating point values from 0 to 255; scale them so that 0 is black and 1"),
        (np.float32([[-0.5, 1]]), "from -0.5 to 1; scale"),
        (np.float32([[np.nan, 1]]), "from nan to nan; scale"),
        (np.int32([[-1, 70000]]), "x: has whole numbers of 32 bits, from -1 to 70000; write them with 8 or 16 bits"),
    ],
)
def test_numbers_whose_black_and_white_nothing_tells(values, message):
    with pytest.raises(BrokenImage, match=message):
        decode(written(values, "TIFF"), (1, 2), "x", upright=False)


def test_cmyk_jpeg_equals_pillow():
    data = jpeg(Image.fromarray(picture(*SIZE)).convert("CMYK"))
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_images_the_first_is_read(kind):
    first, second = picture(*SIZE)[..., 0], picture(*SIZE, seed=1)[..., 0]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = written(first, kind, save_all=True, append_images=[Image.fromarray(second)], **options)
    image = decode(data, SIZE, "x", upright=False)
    assert np.abs(image[..., 0].astype(int) - first).max() <= 1  # WebP keeps colours, which gray becomes.


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [SIZE, (48, 48)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_both_rasters(kind, options, size, orientation):
    """What the file holds, and what Pillow makes of it as the tag says; for squares the size tells nothing."""
    image = picture(*size)
    data = with_orientation(kind, orientation, image, **options)
    header = read_header(data, "x")
    assert header[:2] == (size, orientation)
    stored = decode(data, size, "x", upright=False).astype(int)
    assert np.abs(stored - image).mean() < 3
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert header.size_of(upright=True) == upright.shape[:2]
    found = decode(data, upright.shape[:2], "x", upright=True).astype(int)
    assert np.abs(found - upright).mean() < 1
    if orientation > 1:
        assert found.shape != stored.shape or np.abs(found - stored).mean() > 10


def test_the_tag_of_a_png_may_follow_its_pixels():
    data = with_orientation("PNG", 6, picture(*SIZE))
    start = data.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(data[start : start + 4], "big")
    end = data.index(b"IEND") - 4
    moved = data[:start] + data[stop:end] + data[start:stop] + data[end:]
    assert read_header(moved, "x")[:2] == (SIZE, 6)


def test_a_damaged_tag_is_none():
    """As for viewers."""
    data = rotated(6).replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff")
    assert read_header(data, "x")[:2] == (SIZE, 1)
    # 9 is no orientation.
    assert read_header(with_orientation("PNG", 9, picture(*SIZE)), "x").orientation == 1


def test_without_knowledge_of_the_raster_it_is_the_one_that_fits():
    """Data sets that were prepared before the raster was recorded."""
    stored = decode(rotated(6), SIZE, "x", upright=None).astype(int)
    assert np.abs(stored - picture(*SIZE)).mean() < 3
    # Orientation 6: the camera was turned; the upright picture is the stored one turned clockwise.
    upright = decode(rotated(6), SIZE[::-1], "x", upright=None).astype(int)
    assert np.abs(upright - np.rot90(picture(*SIZE), -1)).mean() < 3
    with pytest.raises(BrokenImage, match="the file has 60×40 pixels"):
        decode(rotated(6), (41, 60), "x", upright=None)


def test_other_size_than_annotated():
    data = encode(picture(*SIZE), ".png")
    message = r"^cat\.png: the file has 40×60 pixels \(height×width\), its annotation says 41×60; correct the ann"
    with pytest.raises(BrokenImage, match=message):
        decode(data, (41, 60), "cat.png", upright=False)


@pytest.mark.parametrize(
    ("upright", "size", "words"),
    [
        (
            False,
            SIZE[::-1],
            r"has 40×60 .* says 60×40; when stored \(EXIF orientation 6\), its upright raster has that",
        ),
        (True, SIZE, r"has 60×40 .* says 40×60; when upright \(EXIF orientation 6\), its stored raster has that size"),
    ],
)
def test_if_the_other_raster_has_the_annotated_size_the_message_says_so(upright, size, words):
    with pytest.raises(BrokenImage, match=words):
        decode(rotated(6), size, "x", upright=upright)


@pytest.mark.parametrize("data", [rotated(6), encode(picture(*SIZE), ".jpg"), encode(picture(*SIZE), ".png")])
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
    data = written(picture(*SIZE), kind, **options)
    with pytest.raises(BrokenImage, match=r"^dog: (truncated after \d+ bytes; fetch|(GIF|JPEG 2000) that cannot)"):
        decode(data[: int(share * len(data))], SIZE, "dog", upright=False)


@pytest.mark.parametrize("behind", [b"\0" * 1000, b"\xff\xda\xff\xd9\xff\xda", rotated(3)])
def test_bytes_behind_the_end_do_no_harm(behind):
    data = encode(picture(*SIZE), ".jpg")
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
    whole = written(picture(16, 16), kind)
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
    bmp = bytearray(written(picture(9, 9), "BMP"))
    bmp[18:26] = struct.pack("<ii", 40000, 40000)
    gif = bytearray(written(picture(9, 9), "GIF"))
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
        decode(encode(picture(*SIZE), ".png"), SIZE, "x", upright=False)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_file_is_read_upright(tmp_path, orientation):
    """Pillow turns by the same tag."""
    data = rotated(orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == np.asarray(expected).shape
    assert np.abs(read.astype(int) - np.asarray(expected.convert("RGB"))).mean() < 2


@pytest.mark.parametrize("data", [b"", b"hello", encode(picture(9, 9), ".png")[:-5], png_header(50000, 50000)])
def test_a_file_that_is_no_image(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(BrokenImage, match=r"a\.jpg: (not an image|truncated|claims)"):
        read_image(tmp_path / "a.jpg")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match=r"pipe\.jpg: is a named pipe, not a regular file"):
        read_image(tmp_path / "pipe.jpg")
