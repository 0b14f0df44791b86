import copy
import json
import math

import numpy as np
import pycocotools.mask as reference
import pytest
from conftest import instances, square

from maskrcnn_jax.data.annotations import DatasetError, first_of, read_annotations

L_SHAPE = [[5.0, 5.0, 30.0, 5.0, 30.0, 15.5, 12.0, 15.5, 12.0, 33.0, 5.0, 33.0]]


def read(*annotations: dict):
    return read_annotations(instances(list(annotations)), "instances.json")


def refused(content, *patterns: str) -> None:
    with pytest.raises(DatasetError) as error:
        read_annotations(content, "instances.json")
    assert str(error.value).startswith("instances.json")
    for pattern in patterns:
        assert pattern in str(error.value)


def test_objects_by_hand():
    annotations = read(square(1, 10, 7, 2, 3, 10), square(2, 30, 3, 50.5, 30, 20.25), square(3, 10, 3, 0, 0, 5))
    first, second, third = annotations.images
    assert annotations.category_ids == (3, 7) and annotations.class_names == ("cat", "dog")
    assert [image.image_id for image in annotations.images] == [10, 20, 30]
    assert first.size == (40, 60) and first.file_name == "010.png"
    assert first.boxes.tolist() == [[2, 3, 12, 13], [0, 0, 5, 5]]
    assert first.labels.tolist() == [1, 0] and first.annotation_ids.tolist() == [1, 3]
    assert first.areas.tolist() == [100, 25] and first.is_crowd.tolist() == [False, False]
    assert second.boxes.shape == (0, 4) and second.masks == []
    # Clipped to the picture of 40 × 60.
    assert third.boxes.tolist() == [[50.5, 30, 60, 40]]
    assert annotations.dropped == {}


@pytest.mark.parametrize("polygons", [L_SHAPE, [*L_SHAPE, [40, 20, 55, 20, 50, 35.0]]])
def test_polygons_equal_pycocotools(polygons):
    masks = read(square(1, 10, 3, 5, 5, 28, segmentation=polygons)).images[0].masks
    assert masks == [reference.merge(reference.frPyObjects(polygons, 40, 60))["counts"]]


def test_run_length_codes_equal_pycocotools():
    mask = np.zeros((40, 60), np.uint8)
    mask[4:9, 20:50] = 1
    coded = reference.encode(np.asfortranarray(mask))
    # Column by column: 20 columns and 4 pixels of zeros; then 5 ones and 35 zeros, 30 times, the last up to the end.
    counts = [20 * 40 + 4, *([5, 35] * 29), 5, 31 + 10 * 40]
    plain = square(1, 10, 3, 20, 4, 5, segmentation={"size": [40, 60], "counts": counts}, iscrowd=1)
    packed = square(2, 10, 3, 20, 4, 5, segmentation={"size": [40, 60], "counts": coded["counts"].decode()})
    image = read(plain, packed).images[0]
    assert image.masks == [coded["counts"]] * 2
    assert image.is_crowd.tolist() == [True, False]


def test_missing_area_is_counted_in_pixels():
    annotation = square(1, 10, 3, 5, 5, 10)
    del annotation["area"], annotation["iscrowd"]
    image = read(annotation).images[0]
    assert image.areas.tolist() == [100] and image.is_crowd.tolist() == [False]


def test_boxes_without_area_are_dropped_and_named():
    annotations = read(
        square(1, 10, 3, 5, 5, 10),
        square(2, 10, 3, 5, 5, 10, bbox=[5, 5, 0, 10]),
        square(3, 10, 3, 5, 5, 10, bbox=[5, 5, 10, -2]),
        square(4, 10, 3, 70, 5, 10),
    )
    assert annotations.dropped == {"box of zero or negative size, or outside its image": [2, 3, 4]}
    assert annotations.images[0].annotation_ids.tolist() == [1]


def test_polygons_with_fewer_than_three_points_are_dropped_and_named():
    whole = [5, 5, 20, 5, 20, 20.0]
    annotations = read(
        square(1, 10, 3, 5, 5, 15, segmentation=[[5, 5, 20, 20.0]]),
        square(2, 10, 3, 5, 5, 15, segmentation=[[5, 5.0], whole]),
    )
    assert annotations.dropped == {"polygon with fewer than three points": [1]}
    # Of the second only the broken part goes.
    assert annotations.images[0].masks == [reference.merge(reference.frPyObjects([whole], 40, 60))["counts"]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "7"])
def test_coordinates_that_are_no_numbers(bad):
    in_box = square(4, 10, 3, 5, 5, 10, bbox=[5, bad, 10, 10])
    in_polygon = square(5, 20, 3, 5, 5, 10, segmentation=[[5, 5, 10, 5, 10, bad]])
    content = json.loads(json.dumps(instances([in_box, in_polygon])))
    refused(content, "no finite numbers", "annotation 4 (image 10)", "annotation 5 (image 20)")


def test_polygon_without_its_list():
    flat = [5, 5, 20, 5, 20, 20.0]
    refused(instances([square(1, 10, 3, 5, 5, 15, segmentation=flat)]), "no finite numbers", "annotation 1")


@pytest.mark.parametrize("segmentation", [None, [], {}])
def test_without_segmentation(segmentation):
    refused(instances([square(4, 10, 3, 5, 5, 10, segmentation=segmentation)]), "without segmentation", "annotation 4")


def test_all_problems_are_told_at_once():
    stray = square(1, 99, 3, 5, 5, 10)
    unknown = square(2, 10, 5, 5, 5, 10)
    refused(
        instances([stray, unknown, square(3, 10, 3, 1, 1, 2), square(3, 10, 3, 1, 1, 2)]),
        'image that "images" does not list',
        "annotation 1 (image 99)",
        'category that "categories" does not list',
        "annotation 2 (image 10) of category 5",
        "each its own: annotation 3",
    )


@pytest.mark.parametrize(
    "code",
    [
        {"size": [60, 40], "counts": [2400]},
        {"size": [40, 60], "counts": [2399]},
        {"size": [40, 60], "counts": [2401, -1]},
        {"size": [40, 60], "counts": "0"},
        {"size": [40, 60], "counts": ""},
        {"counts": [2400]},
    ],
)
def test_run_length_code_of_another_size(code):
    refused(instances([square(1, 10, 3, 5, 5, 10, segmentation=code)]), "run-length code", "40×60")


@pytest.mark.parametrize("box", [None, [1, 2, 3]])
def test_box_of_another_form(box):
    refused(instances([square(1, 10, 3, 5, 5, 10, bbox=box)]), "bbox must be", "annotation 1")


def test_images_of_bad_form():
    content = instances([])
    first, second, third = content["images"]
    second["id"] = first["id"]
    third["height"] = 0
    content["images"].append({"id": 9, "file_name": "9.png"})
    refused(content, "two images have the same id", "must be positive: image 30", "images need file_name", "image 9 (9")


def test_category_without_name():
    content = instances([])
    del content["categories"][0]["name"]
    refused(content, '"categories" need id and name')


def test_categories_with_one_id():
    content = instances([])
    content["categories"].append(copy.copy(content["categories"][0]))
    refused(content, "two categories have the same id", "id 7")


def test_categories_with_one_name():
    content = instances([])
    content["categories"].append({"id": 99, "name": content["categories"][0]["name"]})
    refused(content, "two categories have the same name", "dog")


@pytest.mark.parametrize("key", ["images", "categories"])
def test_empty(key):
    content = instances([])
    content[key] = []
    refused(content, f'"{key}" is empty')


@pytest.mark.parametrize("content", [[], {"images": []}, {"images": [], "annotations": {}, "categories": []}])
def test_not_coco(content):
    refused(content, "not a COCO instances file")


def test_long_lists_are_cut():
    assert first_of([1, 2]) == "1, 2"
    assert first_of(list(range(13))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
