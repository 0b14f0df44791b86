import io
import zlib

import cv2
import numpy as np
import pytest
from conftest import encode, picture
from PIL import Image, ImageOps

from maskrcnn_jax.data.images import decode, read_image
from maskrcnn_jax.data.source import BrokenImage

SIZE = (40, 60)
EXIF_ORIENTATION = 0x0112


def jpeg(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def rotated(orientation: int) -> bytes:
    """A picture of SIZE with an EXIF orientation and a thumbnail's end marker in its EXIF block."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    exif[0x010E] = "thumbnail \xff\xd9"
    return jpeg(Image.fromarray(picture(*SIZE)), exif=exif)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_lossless_rgb(suffix):
    image = decode(encode(picture(*SIZE), suffix), SIZE, "x", upright=False)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture(*SIZE))


def test_jpeg_equals_pillow():
    data = jpeg(Image.fromarray(picture(*SIZE)))
    theirs = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_gray_becomes_three_equal_channels(suffix):
    gray = picture(*SIZE)[..., 0]
    image = decode(cv2.imencode(suffix, gray)[1].tobytes(), SIZE, "x", upright=False)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - gray).max() <= (0 if suffix == ".png" else 4)


def test_alpha_is_dropped():
    alpha = np.arange(40 * 60, dtype=np.uint32).astype(np.uint8).reshape(40, 60)
    file = io.BytesIO()
    Image.fromarray(np.dstack([picture(*SIZE), alpha])).save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue(), SIZE, "x", upright=False), picture(*SIZE))


def test_sixteen_bits_keep_their_brightness():
    # 257 · v is the 16-bit form of v: 255 becomes 65535.
    wide = cv2.imencode(".png", picture(*SIZE)[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    np.testing.assert_array_equal(decode(wide, SIZE, "x", upright=False), picture(*SIZE))
    gray = cv2.imencode(".png", picture(*SIZE)[..., 0].astype(np.uint16) * 257)[1].tobytes()
    np.testing.assert_array_equal(decode(gray, SIZE, "x", upright=False)[..., 1], picture(*SIZE)[..., 0])


def test_cmyk_jpeg_equals_pillow():
    data = jpeg(Image.fromarray(picture(*SIZE)).convert("CMYK"))
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, SIZE, "x", upright=False) - theirs).max() <= 3


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_rotation_is_ignored_if_the_stored_raster_has_the_annotated_size(orientation):
    image = decode(rotated(orientation), SIZE, "x", upright=False).astype(int)
    assert np.abs(image - picture(*SIZE)).mean() < 3


def test_exif_rotation_is_applied_if_that_gives_the_annotated_size():
    # Orientation 6: the camera was turned; the upright picture is the stored one turned clockwise.
    image = decode(rotated(6), SIZE[::-1], "x", upright=True).astype(int)
    assert np.abs(image - np.rot90(picture(*SIZE), -1)).mean() < 3


def test_other_size_than_annotated():
    with pytest.raises(BrokenImage, match=r"cat\.png: the file has 40×60 pixels .* its annotation says 41×60"):
        decode(encode(picture(*SIZE), ".png"), (41, 60), "cat.png", upright=False)


@pytest.mark.parametrize("data", [rotated(6), encode(picture(*SIZE), ".jpg"), encode(picture(*SIZE), ".png")])
@pytest.mark.parametrize("share", [0.6, 0.9, 0.999])
def test_truncated(data, share):
    with pytest.raises(BrokenImage, match=r"dog: truncated after \d+ bytes"):
        decode(data[: int(share * len(data))], SIZE, "dog", upright=False)


def test_bytes_behind_the_end_do_no_harm():
    data = encode(picture(*SIZE), ".jpg")
    np.testing.assert_array_equal(
        decode(data + b"\0" * 1000, SIZE, "x", upright=False), decode(data, SIZE, "x", upright=False)
    )


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>"])
def test_no_image(data):
    with pytest.raises(BrokenImage, match="bird: not an image"):
        decode(data, SIZE, "bird", upright=False)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_file_is_read_upright(tmp_path, orientation):
    """Pillow turns by the same tag."""
    data = rotated(orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == np.asarray(expected).shape
    assert np.abs(read.astype(int) - np.asarray(expected.convert("RGB"))).mean() < 2


@pytest.mark.parametrize("data", [b"", b"hello", encode(picture(9, 9), ".png")[:-5]])
def test_a_file_that_is_no_image(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(BrokenImage, match=r"a\.jpg: (not an image|truncated)"):
        read_image(tmp_path / "a.jpg")


def test_an_image_that_opencv_refuses(tmp_path):
    """A PNG that promises 2^31 - 1 pixels a side."""
    data = bytearray(encode(picture(9, 9), ".png"))
    data[16:24] = bytes([127, 255, 255, 255] * 2)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(BrokenImage, match=r"a\.png: (not an image|OpenCV refuses)"):
        read_image(tmp_path / "a.png")
