"""What people pass as an image, as 8-bit RGB."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.prediction.images import load_images

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 9
GRAY = RGB[..., 0]
OPAQUE = np.concatenate([RGB, np.full((2, 3, 1), 7, np.uint8)], axis=2)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Stored lying on its side: EXIF orientation 6 is turned clockwise by a quarter."""
    path, exif = tmp_path / "photo.png", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RGB, RGB),
        (jnp.asarray(RGB), RGB),
        (GRAY, np.stack([GRAY] * 3, axis=2)),
        (GRAY[..., None], np.stack([GRAY] * 3, axis=2)),
        (OPAQUE, RGB),
        # 300 = 1 · 256 + 44 and 65535 = 255 · 256 + 255.
        (np.array([[0, 300, 65535]], np.uint16), np.repeat([[[0], [1], [255]]], 3, axis=2)),
        # 0.5 · 255 = 127.5, rounded to even.
        (np.array([[0, 0.5, 1]]), np.repeat([[[0], [128], [255]]], 3, axis=2)),
        (RGB / 255, RGB),
        (Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), np.repeat([[[0], [128], [255]]], 3, axis=2)),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GRAY), np.stack([GRAY] * 3, axis=2)),
        (Image.fromarray(OPAQUE), RGB),
        (Image.fromarray(np.array([[0, 300, 65535]], np.uint16)), np.repeat([[[0], [1], [255]]], 3, axis=2)),
        (Image.fromarray(RGB).quantize(), RGB),
    ],
    ids=[
        "RGB", "JAX", "gray", "one channel", "opacity", "16 bit", "float", "float RGB", "Pillow float", "Pillow",
        "Pillow gray", "Pillow opacity", "Pillow 16 bit", "Pillow palette",
    ],
)  # fmt: skip
def test_of_any_kind(image, expected: np.ndarray):
    [(single, source)] = load_images(image)
    [(listed, _)] = load_images([image])
    assert single.dtype == np.uint8 and source is None
    np.testing.assert_array_equal(single, expected)
    np.testing.assert_array_equal(listed, expected)


def test_files_and_pillow_images_are_turned_upright(photo: Path):
    upright = np.rot90(RGB, -1)  # clockwise
    with Image.open(photo) as opened:
        for found in load_images([str(photo), photo, opened]):
            np.testing.assert_array_equal(found.pixels, upright)
            assert found.source == str(photo)


def test_generators_and_stacked_arrays():
    assert [len(load_images(images)) for images in ((RGB for _ in range(3)), np.stack([RGB] * 4), [], ())] == [
        3, 4, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "images is None: pass a path, URL, Pillow image or array, or a list of them"),
        (7, "images is a int: pass a path"),
        ({"image": RGB}, "images is a dict: pass a path"),
        ([RGB, b"\x89PNG"], "images[1] is a bytes: pass a path, URL, Pillow image or array"),
        ([RGB.transpose(2, 0, 1).repeat(3, 2)], "images[0] is uint8 of shape (3, 2, 9), channels first: pass (height,"),
        (np.zeros((9, 9, 2), np.uint8), "images is uint8 of shape (9, 9, 2): pass (height, width, 3) RGB or"),
        (np.zeros((0, 9, 3), np.uint8), "images is uint8 of shape (0, 9, 3): pass"),
        (np.zeros(9, np.uint8), "images is uint8 of shape (9,): pass"),
        (np.zeros((9, 9, 3), np.int64), "images is int64 of shape (9, 9, 3): pass uint8, uint16, or floating point in"),
        (np.full((9, 9, 3), 255.0), "images: has floating point values from 255 to 255"),
        (np.full((9, 9, 3), np.nan), "images: has floating point values from nan to nan"),
        (Image.fromarray(np.zeros((9, 9), np.int32)), "images: has whole numbers of 32 bits, from 0 to 0"),
    ],
)
def test_what_is_no_image(images, message: str):
    with pytest.raises(ValueError) as found:
        load_images(images)
    assert str(found.value).startswith(message)


def test_a_file_that_is_no_image(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(BrokenImage, match=r"notes\.txt"):
        load_images(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        load_images("missing.png")


def test_a_pillow_image_that_is_cut_off(tmp_path: Path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with Image.open(path) as image, pytest.raises(BrokenImage, match=r"images\[1\]: Pillow cannot read its pixels \("):
        load_images([RGB, image])


@pytest.fixture
def server(photo: Path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/photo.png":
                return self.send_error(404)
            content = photo.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_addresses(server: str):
    [found] = load_images(f"{server}/photo.png")
    np.testing.assert_array_equal(found.pixels, np.rot90(RGB, -1))
    assert found.source == f"{server}/photo.png"
    with pytest.raises(OSError, match=r"/other\.png cannot be fetched \(404 Client Error.*; check the address"):
        load_images([f"{server}/other.png"])
