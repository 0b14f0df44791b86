"""What masks show that were not drawn hard, black and opaque."""

import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import written
from PIL import Image
from prepared import assert_objects, block, prepared, write_image
from test_data_formats_masks import LEFT, RIGHT, SIZE, nucleus, write_mask

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.formats.soft_edges import has_soft_edges
from maskrcnn_jax.data.prepare.problems import DatasetError


def disc(size: tuple[int, int], centre: tuple[int, int], radius: int) -> np.ndarray:
    """White on black, with soft edges: each pixel's share of a disc, from 16 samples."""
    fine = np.zeros((4 * size[0], 4 * size[1]), np.uint8)
    cv2.circle(fine, (4 * centre[0], 4 * centre[1]), 4 * radius, 255, -1)
    return cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA)


def folder_of_masks(folder: Path, masks: dict[str, np.ndarray | bytes]) -> Path:
    """Images with a mask each, or bytes that are its file."""
    for name, mask in masks.items():
        path = folder / "masks" / name
        if isinstance(mask, bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mask)
        else:
            write_mask(path, mask)
        size = np.asarray(Image.open(path)).shape[:2]
        write_image(folder / "images" / f"{path.stem}.png", *size)
    return folder


SOFT_DISC = disc((64, 96), (40, 30), 15)
"""Of the area 15² π = 707."""


@pytest.mark.parametrize(
    "mask",
    [
        SOFT_DISC,
        cv2.GaussianBlur(SOFT_DISC, (0, 0), 2),
        written(SOFT_DISC, "JPEG"),
        written(np.repeat(SOFT_DISC[..., None], 3, axis=2), "JPEG", quality=50),
        SOFT_DISC.astype(np.uint16) * 257,
    ],
)
@pytest.mark.parametrize("is_single", [False, True])
def test_a_white_object_with_soft_edges_is_one_from_half_the_range_on(tmp_path: Path, caplog, mask, is_single: bool):
    data = folder_of_masks(tmp_path / "data" / "one" if is_single else tmp_path / "data", {"x.png": mask})
    with caplog.at_level(logging.WARNING):
        _, [example] = prepared(data.parent if is_single else data)
    [found] = example.masks
    assert abs(int(found.sum()) - 707) < 20
    assert found[30, 40] == 1 and found[30, 40 - 17] == 0
    assert ("from half the range on" in caplog.text) and "masks/x.png" in caplog.text


@pytest.mark.parametrize("scale", [0.5, 0.7, 1.5])
@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_numbers_that_were_scaled_smoothly_are_refused(tmp_path: Path, scale: float, interpolation: int):
    labels = np.zeros((120, 160), np.uint8)
    for number in range(1, 31):
        column, row = (number - 1) % 6, (number - 1) // 6
        cv2.circle(labels, (20 + 24 * column, 15 + 22 * row), 10, (number * 7) % 31, -1)
    scaled = cv2.resize(labels, None, fx=scale, fy=scale, interpolation=interpolation)
    data = folder_of_masks(tmp_path / "data", {"x.png": scaled})
    if (scale, interpolation) == (1.5, cv2.INTER_AREA):  # Above 1 this is nearest neighbour and linear by turns.
        data = folder_of_masks(tmp_path / "data", {"x.png": cv2.blur(scaled, (3, 3))})
    with pytest.raises(
        DatasetError, match=r"masks/x\.png: its objects have soft edges, .* as PNG, .* nearest neighbour"
    ):
        open_dataset(data)
    nearest = cv2.resize(labels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    _, [example] = prepared(folder_of_masks(tmp_path / "data", {"x.png": nearest}))
    assert len(example.masks) == 30


def test_two_numbered_objects_scaled_smoothly(tmp_path: Path):
    """Between 1 and 9 there are no other objects."""
    labels = np.zeros((128, 192), np.uint8)
    labels[20:60, 10:70], labels[40:110, 100:160] = 1, 9
    halved = cv2.GaussianBlur(labels, (0, 0), 1)[::2, ::2]
    with pytest.raises(DatasetError, match="its objects have soft edges"):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": halved}))


def test_numbers_in_a_jpeg_are_refused(tmp_path: Path):
    """Its values are not those that were written."""
    data = folder_of_masks(
        tmp_path / "data", {"x.jpg": written((LEFT * 60 + RIGHT * 120).repeat(8, 0).repeat(8, 1), "JPEG")}
    )
    with pytest.raises(DatasetError, match=r"masks/x\.jpg: its objects have soft edges"):
        open_dataset(data)


def test_touching_and_thin_objects_are_no_soft_edges(tmp_path: Path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 200, (300, 2))
    y, x = np.mgrid[:200, :200]
    cells = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in points], axis=0).astype(np.uint16) + 1
    lines = np.zeros((200, 200), np.uint8)
    for number, ends in enumerate(rng.integers(0, 200, (30, 4)).tolist(), 1):
        cv2.line(lines, tuple(ends[:2]), tuple(ends[2:]), number, 1)
    dots = np.zeros((50, 50), np.uint8)
    dots[::5, ::5] = np.arange(100).reshape(10, 10) + 1
    for labels in (cells, lines, dots):
        assert not has_soft_edges(labels)


def test_a_mask_that_is_transparency(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Black all over, and opaque where the object is; or white, as drawing programs have it."""
    nucleus(tmp_path / "data" / "one")
    for name, colour, shape in (("a", 0, LEFT), ("b", 255, RIGHT)):
        colours = np.full((*SIZE, 3), colour, np.uint8)
        write_mask(tmp_path / "data" / "one" / "masks" / f"{name}.png", np.dstack([colours, shape * np.uint8(255)]))
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT), ("object", RIGHT)])
    assert "of one colour from their transparency: one/masks/a.png, one/masks/b.png" in caplog.text


def test_a_mask_whose_colours_and_transparency_differ(tmp_path: Path):
    nucleus(tmp_path / "data" / "one")
    values = np.dstack([LEFT * np.uint8(255)] * 3 + [RIGHT * np.uint8(255)])
    write_mask(tmp_path / "data" / "one" / "masks" / "a.png", values)
    with pytest.raises(DatasetError, match=r"a\.png: its colours and its transparency show different shapes"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 255), (100, 200)])
def test_the_darker_of_two_values_is_the_background(tmp_path: Path, caplog, low: int, high: int):
    nucleus(tmp_path / "data" / "one")
    write_mask(tmp_path / "data" / "one" / "masks" / "a.png", (low + RIGHT * (high - low)).astype(np.uint8))
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", RIGHT)])
    assert "took the darker of the two values" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (2 - RIGHT, "has no black, and its brighter value 2 fills most of the border, so that nothing tells which is"),
        (np.full(SIZE, 1, np.uint8), "is 1 everywhere; write 255 for the object and 0 elsewhere"),
        (
            np.arange(120, dtype=np.uint8).reshape(SIZE).repeat(8, 0).repeat(8, 1),
            "has values between 0 and 119 that are no",
        ),
        (np.full(SIZE, np.nan, np.float32), "has values that are no finite numbers"),
    ],
)
def test_a_mask_that_does_not_show_one_object(tmp_path: Path, values: np.ndarray, message: str):
    nucleus(tmp_path / "data" / "one")
    write_mask(tmp_path / "data" / "one" / "masks" / "a.tif", values)
    with pytest.raises(DatasetError, match=rf"a\.tif: {message}"):
        open_dataset(tmp_path / "data")


def test_a_palette_of_an_object_counts_by_its_colours(tmp_path: Path):
    """Place 0 is white."""
    nucleus(tmp_path / "data" / "one")
    image = Image.frombytes("P", SIZE[::-1], (1 - LEFT).tobytes())
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "data" / "one" / "masks" / "a.png")
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT)])


INSIDE = block(SIZE, slice(2, 8), slice(2, 9))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((1 - INSIDE) * 255, "masks whose object fills the image's whole border and leaves a hole; .*: masks/x.png"),
        (INSIDE * 0 + 1, "masks that cover their whole image: masks/x.png"),
        (LEFT * 255 + RIGHT * 3, "masks with a number 255 apart from the others, .*: masks/x.png"),
    ],
)
def test_numbers_that_may_be_no_objects_are_warned_of(tmp_path: Path, caplog, labels: np.ndarray, message: str):
    with caplog.at_level(logging.WARNING):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": labels.astype(np.uint8)}))
    assert re.search(message, caplog.text)


def test_numbers_without_background(tmp_path: Path):
    """Numbers that cover an image are read; of one that surrounds the others nothing tells what it is."""
    halves = block(SIZE, slice(None), slice(0, 5)) + 1
    classes, [example] = prepared(folder_of_masks(tmp_path / "data", {"x.png": halves}))
    assert_objects(example, classes, [("object", (halves == 1).astype(np.uint8)), ("object", halves - 1)])
    with pytest.raises(DatasetError, match=r"x\.png: no pixel is 0, which is the background, and number 1 surrounds"):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": INSIDE + 1}))


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path):
    """Pillow would drop the lower half, in which the numbers are."""
    coded = cv2.imencode(".png", np.repeat(LEFT[..., None], 3, 2).astype(np.uint16) * 3)[1].tobytes()
    with pytest.raises(DatasetError, match=r"x\.png: has colours of 16 bits; write gray"):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": coded}))
