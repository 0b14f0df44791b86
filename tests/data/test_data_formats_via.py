import logging
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from prepared import assert_objects, block, pixels, prepared, write_image, write_json

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions

SIZE = (10, 12)
SQUARE = {"name": "polygon", "all_points_x": [2, 5, 5, 2], "all_points_y": [3, 3, 6, 6]}
SQUARE_PIXELS = block(SIZE, slice(3, 7), slice(2, 6))
"""The points are pixels: 2, 3, 4, 5 across, 3, 4, 5, 6 down."""


def region(shape: dict, **attributes) -> dict:
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(name: str, regions: list | dict) -> dict:
    return {"filename": name, "size": 1234, "regions": regions, "file_attributes": {}}


def write(folder: Path, *regions: dict, name: str = "a.png") -> Path:
    """A data set of one image, as version 2 exports it."""
    write_json(folder / "via_region_data.json", {f"{name}1234": entry(name, list(regions))})
    write_image(folder / name, *SIZE)
    return folder


def test_version_1_numbers_the_regions(tmp_path: Path):
    """As in Matterport's balloon data: folders train and val, polygons closed by their first point, no attributes."""
    closed = {"name": "polygon", "all_points_x": [2, 5, 5, 2, 2], "all_points_y": [3, 3, 6, 6, 3]}
    triangle = {"name": "polygon", "all_points_x": [7, 10, 7], "all_points_y": [1, 1, 4]}
    for split, shapes in (("train", [closed, triangle]), ("val", [triangle])):
        regions = {str(number): region(shape) for number, shape in enumerate(shapes)}
        write_json(tmp_path / "balloon" / split / "via_region_data.json", {"a.jpg1234": entry("a.jpg", regions)})
        write_image(tmp_path / "balloon" / split / "a.jpg", *SIZE)
    # x from 7, y from 1, and x - 7 + y - 1 ≤ 3: 4, 3, 2 and 1 pixels.
    expected = np.zeros(SIZE, np.uint8)
    for row, count in ((1, 4), (2, 3), (3, 2), (4, 1)):
        expected[row, 7 : 7 + count] = 1
    classes, [example] = prepared(tmp_path / "balloon", class_name="balloon")
    assert classes == ("balloon",)
    assert_objects(example, classes, [("balloon", SQUARE_PIXELS), ("balloon", expected)])
    classes, [example] = prepared(tmp_path / "balloon", "val")
    assert_objects(example, classes, [("object", expected)])
    np.testing.assert_array_equal(example.image, cv2.imread(str(tmp_path / "balloon/val/a.jpg"))[..., ::-1])


def test_a_project_of_version_2(tmp_path: Path):
    content = {
        "_via_settings": {"ui": {}},
        "_via_img_metadata": {
            "a.png1234": entry("a.png", [region(SQUARE, kind="cat"), region(SQUARE, kind={"dog": True, "cat": False})]),
            "b.png1234": entry("b.png", []),
        },
        "_via_attributes": {"region": {"kind": {"type": "radio"}}, "file": {}},
    }
    write_json(tmp_path / "data" / "project.json", content)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "data" / "images" / name, *SIZE)
    classes, [first, second] = prepared(tmp_path / "data")
    assert classes == ("cat", "dog")
    assert_objects(first, classes, [("cat", SQUARE_PIXELS), ("dog", SQUARE_PIXELS)])
    assert_objects(second, classes, [])


def test_rectangle_circle_and_ellipse(tmp_path: Path):
    shapes = [
        {"name": "rect", "x": 1, "y": 2, "width": 4, "height": 3},
        {"name": "circle", "cx": 8, "cy": 4, "r": 1},
        {"name": "ellipse", "cx": 5, "cy": 5, "rx": 3, "ry": 1, "theta": 0},
        {"name": "ellipse", "cx": 5, "cy": 5, "rx": 3, "ry": 1},
    ]
    write(tmp_path / "data", *map(region, shapes))
    cross = np.zeros(SIZE, np.uint8)
    cross[4, 7:10] = cross[3:6, 8] = 1
    # (dx / 3)² + dy² ≤ 1: 7 pixels in the middle row; above and below it dx = 0 alone.
    ellipse = np.zeros(SIZE, np.uint8)
    ellipse[5, 2:9] = ellipse[4:7, 5] = 1
    # From pixel 1 to pixel 1 + 4, and from 2 to 2 + 3, as the polygon of these corners.
    rectangle = block(SIZE, slice(2, 6), slice(1, 6))
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", mask) for mask in (rectangle, cross, ellipse, ellipse)])


def test_masks_are_matterports(tmp_path: Path):
    """`skimage.draw.polygon` of balloon.py on these points, 0.26."""
    shape = {"name": "polygon", "all_points_x": [1, 9, 10, 4], "all_points_y": [1, 2, 7, 8]}
    write(tmp_path / "data", region(shape))
    expected = pixels(
        """
        ............
        .#..........
        ..########..
        ..########..
        ...#######..
        ...#######..
        ....######..
        ....#######.
        ....#.......
        ............
        """
    )
    _, [example] = prepared(tmp_path / "data")
    np.testing.assert_array_equal(example.masks[0], expected)


def test_the_class_attribute_is_found_by_its_name(tmp_path: Path):
    write(tmp_path / "data", region(SQUARE, colour="red", Label="cat"), region(SQUARE, colour="blue", Label="dog"))
    assert prepared(tmp_path / "data")[0] == ("cat", "dog")
    assert prepared(tmp_path / "data", class_attribute="colour")[0] == ("blue", "red")
    assert prepared(tmp_path / "data", class_name="animal")[0] == ("animal",)


def test_an_unclear_class_attribute_is_asked_for(tmp_path: Path):
    write(tmp_path / "data", region(SQUARE, colour="red", size="big"))
    with pytest.raises(
        DatasetError,
        match=r"of 1 region these have .* colour \(1\), size \(1\); say .*--class-attribute",
    ):
        open_dataset(tmp_path / "data")
    with pytest.raises(DatasetError, match=r"'shape'.* have not this attribute but colour, size"):
        open_dataset(tmp_path / "data", ReadOptions(class_attribute="shape"))
    assert prepared(tmp_path / "data", class_name="thing")[0] == ("thing",)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        None,
        {"cat": True, "dog": True},
        {"cat": False},
        {"cat": "false"},
        {"cat": 1},
        ["cat"],
        True,
        10**400,
        math.nan,
    ],
)
def test_a_region_without_a_class(tmp_path: Path, value: object):
    write(tmp_path / "data", region(SQUARE, kind="cat"), region(SQUARE, kind=value))
    with pytest.raises(DatasetError, match=r"attribute 'kind' does not say one class; .*json: a\.png region 1$"):
        open_dataset(tmp_path / "data")


def test_classes_may_be_numbers_and_attributes_of_any_case(tmp_path: Path):
    values = [{"Class": 3}, {"CLASS": "3"}, {"class": 4.0}, {"class": 1234567}, {"class": 0.5}]
    write(tmp_path / "data", *[region(SQUARE, **value) for value in values])
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [(name, SQUARE_PIXELS) for name in ("3", "3", "4", "1234567", "0.5")])


def test_what_has_no_area_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    line = {"name": "polyline", "all_points_x": [1, 5], "all_points_y": [1, 5]}
    point = {"name": "point", "cx": 3, "cy": 3}
    two = {"name": "polygon", "all_points_x": [1, 5, 1], "all_points_y": [1, 5, 1]}
    outside = {"name": "rect", "x": 15, "y": 15, "width": 5, "height": 5}
    write(tmp_path / "data", *map(region, (line, point, two, outside, SQUARE)))
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", SQUARE_PIXELS)])
    file = "via_region_data.json: a.png region"
    assert f"left out lines and points, which have no area: {file} 0, {file} 1\n" in caplog.text
    assert f"left out polygons with fewer than three points; draw them again: {file} 2\n" in caplog.text
    assert f"left out objects that cover no pixel of their image: {file} 3\n" in caplog.text


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ({"name": "polygon", "all_points_x": [1, 5, 7], "all_points_y": [1, 5]}, "has 3 x, but 2 y"),
        ({"name": "polygon", "all_points_x": [1, 5, None], "all_points_y": [1, 5, 7]}, "x of point 2 is null"),
        ({"name": "polygon", "all_points_x": [1, 5, "7"], "all_points_y": [1, 5, 7]}, "x of point 2 is '7'"),
        ({"name": "polygon", "all_points_x": [1, 5, 1e8], "all_points_y": [1, 5, 7]}, "far outside the image"),
        ({"name": "polygon", "all_points_x": {"0": 1}, "all_points_y": [1]}, "not two lists of numbers"),
        ({"name": "polygon", "all_points_x": 3, "all_points_y": 4}, "x are 3 and y 4"),
        ({"name": "polygon"}, "x are null and y null"),
        ({"name": "rect", "x": 1, "y": 1, "width": -4, "height": 3}, "width and height are -4 and 3, not positive"),
        ({"name": "rect", "x": 1, "y": 1, "width": 1e8, "height": 3}, "far larger than the image"),
        ({"name": "rect", "x": 1, "y": 1, "width": 10**400, "height": 3}, "width is .*, no finite number"),
        ({"name": "circle", "cx": 1, "cy": 1, "r": "wide"}, "r is 'wide', no finite number"),
        ({"name": "circle", "cx": 1, "cy": 1, "r": 1e200}, "far larger than the image"),
        ({"name": "circle", "cx": [1], "cy": 1, "r": 2}, r"cx is \[1\]"),
        ({"name": "ellipse", "cx": 1, "cy": 1, "rx": 2, "ry": 2, "theta": "up"}, "theta is 'up'"),
        ({"name": "spline"}, "shape 'spline' is not known"),
        ({"name": ["polygon"]}, r"shape \['polygon'\] is not known"),
        ({"name": {}}, r"shape \{\} is not known"),
        ({}, "shape null is not known"),
        (None, "its shape_attributes are null"),
        ([1], r"its shape_attributes are \[1\]"),
    ],
)
def test_regions_that_cannot_be_read(tmp_path: Path, shape: object, complaint: str):
    write(tmp_path / "data", region(SQUARE), region(shape))
    with pytest.raises(
        DatasetError, match=rf"cannot be read; draw them again or remove them: .*a\.png region 1 \(.*{complaint}"
    ):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize("bad", [None, "region", 7, [1]])
def test_a_region_that_is_none(tmp_path: Path, bad: object):
    write(tmp_path / "data", region(SQUARE), bad)
    with pytest.raises(DatasetError, match=r"a\.png region 1 \(its shape_attributes are null\)$"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize("attributes", [None, [], "cat", 7])
def test_attributes_that_are_none_name_no_class(tmp_path: Path, attributes: object):
    write(tmp_path / "data", region(SQUARE) | {"region_attributes": attributes})
    assert prepared(tmp_path / "data")[0] == ("object",)


@pytest.mark.parametrize("regions", ["none", 7, True])
def test_regions_that_are_no_list(tmp_path: Path, regions: object):
    good = {"a.png1": entry("a.png", [region(SQUARE)]), "b.png1": entry("b.png", regions)}
    write_json(tmp_path / "data" / "via.json", good)
    write_image(tmp_path / "data" / "a.png", *SIZE)
    with pytest.raises(DatasetError, match=r"images whose regions are no list: via\.json: b\.png \("):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize(
    "bad", [None, 7, "a.png", [], {"regions": []}, entry(None, []), entry(["a"], []), entry(" ", [])]
)
@pytest.mark.parametrize("is_project", [False, True])
def test_entries_without_an_image(tmp_path: Path, bad: object, is_project: bool):
    entries = {"a.png1": entry("a.png", [region(SQUARE)]), "other": bad}
    write_json(tmp_path / "data" / "via.json", {"_via_img_metadata": entries} if is_project else entries)
    write_image(tmp_path / "data" / "a.png", *SIZE)
    with pytest.raises(DatasetError, match=r"entries without the name of an image: via\.json entry 1 \("):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize("metadata", [[], 7, "x", [entry("a.png", [])]])
def test_a_project_whose_images_are_no_dictionary(tmp_path: Path, metadata: object):
    write_json(tmp_path / "data" / "via.json", {"_via_img_metadata": metadata})
    with pytest.raises(DatasetError, match="entries without the name of an image"):
        open_dataset(tmp_path / "data")


def test_size_and_file_attributes_do_not_matter(tmp_path: Path):
    odd = entry("a.png", [region(SQUARE)]) | {"size": -1, "file_attributes": [None]}
    write_json(tmp_path / "data" / "via.json", {"a.png-1": odd})
    write_image(tmp_path / "data" / "a.png", *SIZE)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", SQUARE_PIXELS)])


def test_rectangles_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(tmp_path / "data", region({"name": "rect", "x": 1, "y": 1, "width": 3, "height": 3}), region(SQUARE))
    with caplog.at_level(logging.WARNING):
        open_dataset(tmp_path / "data")
    assert "1 of 2 objects are annotated by a box" in caplog.text


def test_images_elsewhere(tmp_path: Path):
    write(tmp_path / "data", region(SQUARE))
    (tmp_path / "data" / "a.png").rename(tmp_path / "a.png")
    file = tmp_path / "data" / "via_region_data.json"
    with pytest.raises(DatasetError, match=r"missing, looked for in .*\(--images\): a\.png"):
        open_dataset(file)
    classes, [example] = prepared(file, images=tmp_path)
    assert_objects(example, classes, [("object", SQUARE_PIXELS)])
