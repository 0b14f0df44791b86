import io
import os

import cv2
import numpy as np
import pytest
from conftest import encode, make_image, written
from PIL import ExifTags, Image, ImageOps

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import decode, read_header, read_image

SIZE = (40, 60)


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
    return jpeg(Image.fromarray(make_image(*SIZE)), exif=exif)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_rgb(suffix):
    image = decode(encode(make_image(*SIZE), suffix), SIZE, "x", upright=False)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, make_image(*SIZE))


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
    data = written(make_image(*SIZE), kind, **options)
    np.testing.assert_array_equal(decode(data, SIZE, "x", upright=False), make_image(*SIZE))


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "WEBP"])
def test_lossy_kinds_equal_pillow(kind):
    data = written(make_image(*SIZE), kind, quality=95)
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
    image = Image.fromarray(make_image(*SIZE)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(SIZE[::-1]))
    data = written(image, kind)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp", ".pgm"])
def test_gray_becomes_three_equal_channels(suffix):
    gray = make_image(*SIZE)[..., 0]
    image = decode(cv2.imencode(suffix, gray)[1].tobytes(), SIZE, "x", upright=False)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - gray).max() <= (4 if suffix == ".jpg" else 0)


def test_transparency_is_ignored():
    alpha = np.arange(40 * 60, dtype=np.uint32).astype(np.uint8).reshape(40, 60)
    data = written(np.dstack([make_image(*SIZE), alpha]), "PNG")
    np.testing.assert_array_equal(decode(data, SIZE, "x", upright=False), make_image(*SIZE))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm", ".jp2"])
def test_sixteen_bits_keep_their_brightness(suffix):
    # 257 · v is the 16-bit form of v: 255 becomes 65535.
    wide = make_image(*SIZE)[..., ::-1].astype(np.uint16) * 257
    data = cv2.imencode(suffix, wide)[1].tobytes()
    lossy = int(suffix == ".jp2")
    assert np.abs(decode(data, SIZE, "x", upright=False).astype(int) - make_image(*SIZE)).max() <= lossy
    gray = cv2.imencode(suffix.replace("ppm", "pgm"), wide[..., 2])[1].tobytes()
    found = decode(gray, SIZE, "x", upright=False).astype(int)
    assert np.abs(found - make_image(*SIZE)[..., :1]).max() <= lossy


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
    data = jpeg(Image.fromarray(make_image(*SIZE)).convert("CMYK"))
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_images_the_first_is_read(kind):
    first, second = make_image(*SIZE)[..., 0], make_image(*SIZE, seed=1)[..., 0]
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
    image = make_image(*size)
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
    data = with_orientation("PNG", 6, make_image(*SIZE))
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
    assert read_header(with_orientation("PNG", 9, make_image(*SIZE)), "x").orientation == 1


def test_without_knowledge_of_the_raster_it_is_the_one_that_fits():
    """Data sets that were prepared before the raster was recorded."""
    stored = decode(rotated(6), SIZE, "x", upright=None).astype(int)
    assert np.abs(stored - make_image(*SIZE)).mean() < 3
    # Orientation 6: the camera was turned; the upright image is the stored one turned clockwise.
    upright = decode(rotated(6), SIZE[::-1], "x", upright=None).astype(int)
    assert np.abs(upright - np.rot90(make_image(*SIZE), -1)).mean() < 3
    with pytest.raises(BrokenImage, match="the file has 60×40 pixels"):
        decode(rotated(6), (41, 60), "x", upright=None)


def test_other_size_than_annotated():
    data = encode(make_image(*SIZE), ".png")
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


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_file_is_read_upright(tmp_path, orientation):
    """Pillow turns by the same tag."""
    data = rotated(orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == np.asarray(expected).shape
    assert np.abs(read.astype(int) - np.asarray(expected.convert("RGB"))).mean() < 2


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match=r"pipe\.jpg: is a named pipe, not a regular file"):
        read_image(tmp_path / "pipe.jpg")
