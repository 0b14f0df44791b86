import base64
import io
import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared import assert_objects, block, pixels, prepared, write_image, write_json

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.formats.labelme_shape import place
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.masks.rle import decode_mask

SIZE = (10, 12)
SQUARE = [[2.0, 3.0], [6.0, 3.0], [6.0, 7.0], [2.0, 7.0]]
SQUARE_PIXELS = block(SIZE, slice(3, 7), slice(2, 6))
"""Points are continuous: from 2 to 6 are the pixels 2, 3, 4, 5."""


def shape(label: str, points: list, kind: str | None = "polygon", **fields) -> dict:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **fields}


def content(drawn: list, image: str = "a.png", **fields) -> dict:
    sides = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    return {"version": "5.5.0", "flags": {}, "shapes": drawn, "imagePath": image, "imageData": None, **sides, **fields}


def write(folder: Path, *shapes: dict, **fields) -> Path:
    """A data set of one image."""
    write_json(folder / "a.json", content(list(shapes), **fields))
    write_image(folder / "a.png", *SIZE)
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
def test_a_mask_is_cut_at_the_images_edge(x: int, y: int, expected: str):
    part = pixels("##. .##")
    code = place(part, x, y, (3, 3))
    np.testing.assert_array_equal(decode_mask(code["counts"].encode("ascii"), (3, 3)), pixels(expected))


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
        write_image(folder / "images" / "a.png", *SIZE)
    write_json(tmp_path / "data" / "train" / "labels" / "settings.json", {"theme": "dark"})
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data", "val")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])
    assert "left out JSON files that labelme did not write: " in caplog.text
    assert "settings.json" in caplog.text


def test_images_elsewhere_and_a_single_file(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE), image="C:\\somewhere\\a.png")
    (tmp_path / "data" / "a.png").rename(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"missing, looked for in .*\(--images\): \S*a\.json: C:\\somewhere\\a\.png"):
        open_dataset(tmp_path / "data" / "a.json")
    classes, [example] = prepared(tmp_path / "data" / "a.json", images=tmp_path)
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])


def test_without_recorded_size_the_images_counts(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE), imageHeight=None, imageWidth=None)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])


def test_another_size_than_recorded(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE), imageHeight=20)
    with pytest.raises(DatasetError, match=r"of another size .*a\.png has 10×12 pixels .*, its annotation says 20×12$"):
        open_dataset(tmp_path / "data")


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
    assert "left out objects that cover no pixel of their image: " in caplog.text
    counts = {reason: len(those) for reason, those in open_dataset(tmp_path / "data").dropped.items()}
    assert list(counts.values()) == [2, 1, 1]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (shape("cat", [[1, 1], [5, 5, 5], [6, 7]]), r"point 1 is \[5, 5, 5\], not \[x, y\]"),
        (shape("cat", [[1, 1], [5, None], [6, 7]]), "y of point 1 is null, no finite number"),
        (shape("cat", [[1, 1], ["5", 5], [6, 7]]), "x of point 1 is '5'"),
        (shape("cat", [[1, 1], [float("nan"), 5], [6, 7]]), "x of point 1 is nan"),
        (shape("cat", [[1, 1], [1e8, 5], [6, 7]]), r"point 1 is \(1e\+08, 5\), far outside the image of 12×10"),
        (shape("cat", [[0.1, 0.1], [0.9, 0.1], [0.5, 0.5]]), "as if normalised"),
        (shape("cat", None), "points are null"),
        (shape("cat", [[1, 1]], "rectangle"), "a rectangle of 1 points instead of 2"),
        (shape("cat", SQUARE, "circle"), "a circle of 4 points instead of 2"),
        (shape("cat", [[1, 1], [3, 2]], "mask", mask="no PNG"), "mask is 'no PNG', no image in base64"),
        (shape("cat", [[1, 1], [3, 2]], "mask"), "mask is null, no image in base64"),
        (shape("cat", [[1, 1], [3, 2]], "mask", mask="ä"), "mask is 'ä'"),
        (shape("cat", [[1, 1], [3, 2]], "mask", mask=7), "mask is 7"),
        (shape("cat", [[1, 1], [3, 2]], "star"), "shape_type 'star' is not known"),
        (shape("cat", [[1, 1], [3, 2]], ["mask"]), r"shape_type \['mask'\] is not known"),
        (shape("cat", SQUARE, group_id=[1]), r"group_id is \[1\], neither a whole number nor text"),
        (shape("cat", SQUARE, group_id={}), r"group_id is \{\}"),
        (shape("cat", SQUARE, group_id=1.5), r"group_id is 1\.5"),
        ({"label": "cat"}, "points are null"),
        (None, "it is null"),
        ("cat", "it is 'cat'"),
    ],
)
def test_shapes_that_cannot_be_read(tmp_path: Path, bad: object, complaint: str):
    write(tmp_path / "data", shape("cat", SQUARE), bad)
    with pytest.raises(
        DatasetError, match=rf"shapes that cannot be read; draw them again .*a\.json shape 1 \(.*{complaint}"
    ):
        open_dataset(tmp_path / "data")


def test_a_mask_larger_than_its_image_is_refused_before_it_is_decoded(tmp_path: Path):
    """A PNG of 30,000 × 30,000 pixels of one bit has 110 kB and would take 900 MB."""
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    huge = base64.b64encode(file.getvalue()).decode()
    write(tmp_path / "data", shape("cat", [[1, 1], [3, 2]], "mask", mask=huge))
    with pytest.raises(DatasetError, match=r"shape 0 \(its mask has 30000×30000 pixels, its image 10×12"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize(("label", "shown"), [(" ", "$"), (None, "$"), (3, r" \(3\)"), (["cat"], r" \(\['cat'\]\)")])
def test_a_shape_without_a_label(tmp_path: Path, label: object, shown: str):
    write(tmp_path / "data", shape("cat", SQUARE) | {"label": label})
    with pytest.raises(DatasetError, match=rf"shapes without a label of text; name them: .*a\.json shape 0{shown}"):
        open_dataset(tmp_path / "data")


def test_a_broken_file_among_others(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE))
    (tmp_path / "data" / "b.json").write_text('{"shapes": [')
    with pytest.raises(DatasetError, match=r"b\.json: not valid JSON"):
        open_dataset(tmp_path / "data")


def test_rectangles_of_four_corners_and_turned_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """As X-AnyLabeling writes them."""
    turned = [[6.0, 3.0], [8.0, 5.0], [6.0, 7.0], [4.0, 5.0]]
    write(tmp_path / "data", shape("box", SQUARE, "rectangle"), shape("box", turned, "rotation", direction=0.8))
    diamond = np.zeros(SIZE, np.uint8)
    diamond[3:7, 5:7] = diamond[4:6, 4:8] = 1  # |x - 6| + |y - 5| ≤ 2, centres at .5.
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("box", SQUARE_PIXELS), ("box", diamond)])
    assert "1 of 2 objects are annotated by a box" in caplog.text


def test_what_labelme_ignores_is_no_class(tmp_path: Path):
    write(tmp_path / "data", *[shape(label, SQUARE) for label in ("__ignore__", "cat", "_background_")])
    assert open_dataset(tmp_path / "data").dropped == {
        f"shapes that labelme calls {label}": [f"{tmp_path}/data/a.json shape {number}"]
        for number, label in ((0, "__ignore__"), (2, "_background_"))
    }
    assert prepared(tmp_path / "data")[0] == ("cat",)


def test_groups_by_numbers_in_any_form_and_by_names(tmp_path: Path):
    far = [[8.0, 1.0], [10.0, 1.0], [10.0, 3.0], [8.0, 3.0]]
    far_pixels = block(SIZE, slice(1, 3), slice(8, 10))
    groups = [7, "7", 7.0, "left", "left", ""]
    shapes = [shape("cat", points, group_id=group) for points, group in zip([SQUARE, far] * 3, groups, strict=True)]
    write(tmp_path / "data", *shapes)
    classes, [example] = prepared(tmp_path / "data")
    both = SQUARE_PIXELS | far_pixels
    assert_objects(example, classes, [("cat", both), ("cat", both), ("cat", far_pixels)])


@pytest.mark.parametrize("shapes", ["none", 7, {"0": shape("cat", SQUARE)}, True])
def test_shapes_that_are_no_list(tmp_path: Path, shapes: object):
    write(tmp_path / "data", shapes=shapes)
    with pytest.raises(DatasetError, match=r"files whose shapes are no list; .*a\.json \("):
        open_dataset(tmp_path / "data")


def test_no_shapes_are_an_image_without_objects(tmp_path: Path):
    write(tmp_path / "data", shapes=None)
    write_json(tmp_path / "data" / "b.json", content([shape("cat", SQUARE)], "b.png"))
    write_image(tmp_path / "data" / "b.png", *SIZE)
    classes, [first, second] = prepared(tmp_path / "data")
    assert_objects(first, classes, [])
    assert_objects(second, classes, [("cat", SQUARE_PIXELS)])


def test_many_shapes_of_a_large_image_take_no_memory_of_its_size(tmp_path: Path):
    """30 boxes of 12,000 × 12,000 pixels: 144 MB each as pixels."""
    sides = {"imageHeight": 12_000, "imageWidth": 12_000}
    whole = [[0, 0], [12_000, 12_000]]
    write_json(tmp_path / "data" / "a.json", content([shape("cat", whole, "rectangle")] * 30, **sides))
    Image.new("1", (12_000, 12_000)).save(tmp_path / "data" / "a.png")
    tracemalloc.start()
    dataset = open_dataset(tmp_path / "data")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dataset.kind == "labelme"
    assert peak < 100e6
