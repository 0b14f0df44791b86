import base64
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared import assert_objects, block, pixels, prepared, write_json, write_picture

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.formats import open_dataset
from maskrcnn_jax.data.formats.labelme import place

SIZE = (10, 12)
SQUARE = [[2.0, 3.0], [6.0, 3.0], [6.0, 7.0], [2.0, 7.0]]
SQUARE_PIXELS = block(SIZE, slice(3, 7), slice(2, 6))
"""Points are continuous: from 2 to 6 are the pixels 2, 3, 4, 5."""


def shape(label: str, points: list, kind: str | None = "polygon", **fields) -> dict:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **fields}


def content(shapes: list, image: str = "a.png", **fields) -> dict:
    sides = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None, **sides, **fields}


def write(folder: Path, *shapes: dict, **fields) -> Path:
    """A data set of one picture."""
    write_json(folder / "a.json", content(list(shapes), **fields))
    write_picture(folder / "a.png", *SIZE)
    return folder


def png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_polygons_rectangles_and_circles(tmp_path: Path):
    shapes = [
        shape("dog", SQUARE),
        shape("cat", [[9.0, 8.0], [7.0, 2.0]], "rectangle"),
        # Centre between four pixels, radius 2 to the right: dx, dy of ±0.5 and ±1.5 with dx² + dy² ≤ 4.
        shape("cat", [[4.0, 5.0], [6.0, 5.0]], "circle"),
        # A turned square: |x - 6| + |y - 5| ≤ 2, centres at .5.
        shape("dog", [[6.0, 3.0], [8.0, 5.0], [6.0, 7.0], [4.0, 5.0]], "oriented_rectangle"),
        shape("dog", SQUARE, None),
    ]
    write(tmp_path / "data", *shapes)
    disc = np.zeros(SIZE, np.uint8)
    disc[3:7, 3:5] = disc[4:6, 2:6] = 1
    diamond = np.zeros(SIZE, np.uint8)
    diamond[3:7, 5:7] = diamond[4:6, 4:8] = 1
    classes, [example] = prepared(tmp_path / "data")
    assert classes == ("cat", "dog")
    rectangle = block(SIZE, slice(2, 8), slice(7, 9))
    expected = [("dog", SQUARE_PIXELS), ("cat", rectangle), ("cat", disc), ("dog", diamond), ("dog", SQUARE_PIXELS)]
    assert_objects(example, classes, expected)


def test_masks(tmp_path: Path):
    part = pixels(
        """
        ##.
        .##
        """
    )
    shapes = [
        # Whole numbers are the first and the last pixel.
        shape("cat", [[4, 5], [6, 6]], "mask", mask=png(part)),
        shape("cat", [[3.6, 1.4], [6.6, 3.4]], "mask", mask=png(part)),
    ]
    write(tmp_path / "data", *shapes)
    first, second = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    first[5:7, 4:7] = second[1:3, 4:7] = part
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cat", first), ("cat", second)])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (-1, 0, "#.. ##. ..."),
        (0, -1, ".## ... ..."),
        (2, 2, "... ... ..#"),
        (5, 0, "... ... ..."),
        (-3, 0, "... ... ..."),
    ],
)
def test_a_mask_is_cut_at_the_pictures_edge(x: int, y: int, expected: str):
    part = pixels("##. .##")
    np.testing.assert_array_equal(place(part, x, y, (3, 3)), pixels(expected))


def test_a_group_is_one_object_of_a_class(tmp_path: Path):
    far = [[8.0, 1.0], [10.0, 1.0], [10.0, 3.0], [8.0, 3.0]]
    shapes = [
        shape("cat", SQUARE, group_id=0),
        shape("dog", SQUARE, group_id=0),
        shape("cat", far, group_id=0),
        shape("cat", far, group_id=1),
        shape("cat", far),
    ]
    write(tmp_path / "data", *shapes)
    far_pixels = block(SIZE, slice(1, 3), slice(8, 10))
    classes, [example] = prepared(tmp_path / "data")
    expected = [
        ("cat", SQUARE_PIXELS | far_pixels),
        ("dog", SQUARE_PIXELS),
        ("cat", far_pixels),
        ("cat", far_pixels),
    ]
    assert_objects(example, classes, expected)


def test_splits_subfolders_and_windows(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for split in ("train", "valid"):
        folder = tmp_path / "data" / split
        write_json(folder / "labels" / "a.json", content([shape("cat", SQUARE)], "..\\images\\a.png"))
        write_picture(folder / "images" / "a.png", *SIZE)
    write_json(tmp_path / "data" / "train" / "labels" / "settings.json", {"theme": "dark"})
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data", "val")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])
    assert "left out JSON files that labelme did not write: " in caplog.text
    assert "settings.json" in caplog.text


def test_pictures_elsewhere_and_a_single_file(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE), image="C:\\somewhere\\a.png")
    (tmp_path / "data" / "a.png").rename(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"pictures that cannot be read.*a\.png: missing"):
        open_dataset(tmp_path / "data" / "a.json")
    classes, [example] = prepared(tmp_path / "data" / "a.json", images=tmp_path)
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])


def test_without_recorded_size_the_pictures_counts(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE), imageHeight=None, imageWidth=None)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])


def test_another_size_than_recorded(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE), imageHeight=20)
    with pytest.raises(DatasetError, match=r"a\.png: the file has 10×12 pixels .*, its annotation says 20×12"):
        prepared(tmp_path / "data")


def test_what_has_no_area_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    shapes = [
        shape("cat", [[1, 1], [5, 5]], "line"),
        shape("cat", [[1, 1]], "point"),
        shape("cat", [[1, 1], [5, 5]]),
        shape("cat", [[3.0, 3.0], [3.0, 3.0]], "circle"),
        shape("dog", SQUARE),
    ]
    write(tmp_path / "data", *shapes)
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("dog", SQUARE_PIXELS)])
    assert classes == ("dog",)
    assert "a.json shape 0, " in caplog.text
    assert "a.json shape 1\n" in caplog.text
    assert "left out polygons with fewer than three points; draw them again" in caplog.text
    assert "left out objects that cover no pixel of their picture" in caplog.text


@pytest.mark.parametrize(
    "bad",
    [
        shape("cat", [[1, 1], [5, 5, 5], [6, 7]]),
        shape("cat", [[1, 1], [5, None], [6, 7]]),
        shape("cat", [[1, 1], [5, 5], [7, 7]], "rectangle"),
        shape("cat", [[1, 1], [3, 2]], "mask", mask="no PNG"),
        shape("cat", [[1, 1], [3, 2]], "mask"),
        shape("cat", [[1, 1], [3, 2]], "star"),
        {"label": "cat"},
    ],
)
def test_shapes_that_cannot_be_read(tmp_path: Path, bad: dict):
    write(tmp_path / "data", shape("cat", SQUARE), bad)
    with pytest.raises(DatasetError, match=r"shapes that cannot be read; draw them again .*a\.json shape 1 \("):
        open_dataset(tmp_path / "data")


def test_a_shape_without_a_label(tmp_path: Path):
    write(tmp_path / "data", shape(" ", SQUARE))
    with pytest.raises(DatasetError, match=r"shapes without a label; name them: .*a\.json shape 0"):
        open_dataset(tmp_path / "data")


def test_a_broken_file_among_others(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE))
    (tmp_path / "data" / "b.json").write_text('{"shapes": [')
    with pytest.raises(DatasetError, match=r"b\.json: no JSON \(.*\); export or fetch the file again, or remove it"):
        open_dataset(tmp_path / "data")
