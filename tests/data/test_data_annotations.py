import json
import logging
import math

import numpy as np
import pycocotools.mask as reference
import pytest
from conftest import instances, square

from maskrcnn_jax.data.prepare.coco.annotations import read_annotations
from maskrcnn_jax.data.prepare.finder.image_file import Located
from maskrcnn_jax.data.prepare.problems import DatasetError, Refused
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.masks.rle import decode_mask
from maskrcnn_jax.messages.counts import shorten_list

L_SHAPE = [[5.0, 5.0, 30.0, 5.0, 30.0, 15.5, 12.0, 15.5, 12.0, 33.0, 5.0, 33.0]]


def read(*annotations: dict):
    return read_annotations(instances(list(annotations)), "instances.json")


def refused(content, *patterns: str, lines: int | None = None) -> None:
    with pytest.raises(DatasetError) as error:
        read_annotations(content, "instances.json")
    if lines is not None:
        assert len(str(error.value).splitlines()) == lines
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
    # Clipped to the image of 40 × 60.
    assert third.boxes.tolist() == [[50.5, 30, 60, 40]]
    assert annotations.dropped == {}


@pytest.mark.parametrize("polygons", [L_SHAPE, [*L_SHAPE, [10, 20, 33, 20, 30, 33.0]]])
def test_polygons_equal_pycocotools(polygons):
    masks = read(square(1, 10, 3, 5, 5, 28, segmentation=polygons)).images[0].masks
    assert masks == [reference.merge(reference.frPyObjects(polygons, 40, 60))["counts"]]


def test_run_length_codes_equal_pycocotools():
    mask = np.zeros((40, 60), np.uint8)
    mask[4:9, 20:50] = 1
    coded = reference.encode(np.asfortranarray(mask))
    # Column by column: 20 columns and 4 pixels of zeros; then 5 ones and 35 zeros, 30 times, the last up to the end.
    counts = [20 * 40 + 4, *([5, 35] * 29), 5, 31 + 10 * 40]
    box = [20, 4, 30, 5]
    plain = square(1, 10, 3, 0, 0, 5, bbox=box, segmentation={"size": [40, 60], "counts": counts}, iscrowd=1)
    packed = square(2, 10, 3, 0, 0, 5, bbox=box, segmentation={"size": [40, 60], "counts": coded["counts"].decode()})
    image = read(plain, packed).images[0]
    assert image.masks == [coded["counts"]] * 2
    assert image.is_crowd.tolist() == [True, False]


def test_missing_area_is_counted_in_pixels():
    annotation = square(1, 10, 3, 5, 5, 10)
    del annotation["area"], annotation["iscrowd"]
    image = read(annotation).images[0]
    assert image.areas.tolist() == [100] and image.is_crowd.tolist() == [False]


@pytest.mark.parametrize("area", [None, "", 0, 0.0])
def test_an_area_of_nothing_is_counted_in_pixels(area):
    assert read(square(1, 10, 3, 5, 5, 10, area=area)).images[0].areas.tolist() == [100]


def test_an_area_as_text_is_read():
    assert read(square(1, 10, 3, 5, 5, 10, area="97.5")).images[0].areas.tolist() == [97.5]


@pytest.mark.parametrize("area", ["97 px", [97], -1, math.nan, math.inf, True, 10**400, "nan"])
def test_an_area_that_is_none_is_named(area):
    refused(instances([square(4, 10, 3, 5, 5, 10, area=area)]), "area must be a number from 0", "annotation 4", lines=1)


def test_an_area_larger_than_the_image_is_counted_anew(caplog: pytest.LogCaptureFixture):
    # The image has 2400 pixels.
    areas = read(square(1, 10, 3, 5, 5, 10, area=1e300), square(2, 10, 3, 5, 5, 10, area=2400)).images[0].areas
    assert areas.tolist() == [100, 2400]
    assert caplog.messages == [
        "instances.json: areas larger than the image; counted in the mask instead: annotation 1 (image 10): 1e+300"
    ]


@pytest.mark.parametrize(
    ("flag", "expected"), [("0", False), ("false", False), (0.0, False), (None, False), ("1", True)]
)
def test_crowds_are_marked_by_flags_of_any_type(flag, expected):
    assert read(square(1, 10, 3, 5, 5, 10, iscrowd=flag)).images[0].is_crowd.tolist() == [expected]


def test_a_flag_that_is_none_is_named():
    refused(instances([square(4, 10, 3, 5, 5, 10, iscrowd="no")]), "iscrowd must be 0 or 1: annotation 4", "'no'")


def test_boxes_without_area_are_dropped_and_named():
    annotations = read(
        square(1, 10, 3, 5, 5, 10),
        square(2, 10, 3, 5, 5, 10, bbox=[5, 5, 0, 10]),
        square(3, 10, 3, 5, 5, 10, bbox=[5, 5, 10, -2], segmentation=None),
        square(4, 10, 3, 70, 5, 10),
        square(5, 10, 3, 5, 5, 10, segmentation={"size": [40, 60], "counts": [2400]}),
        square(6, 10, 3, 5, 5, 10, segmentation=[[7, 7, 7, 7, 7, 7]]),
    )
    assert annotations.dropped == {
        "box of zero or negative size or outside its image, unlike its mask (try --boxes-from-masks)": [2],
        "box of zero or negative size, or outside its image": [3],
        "mask without a pixel inside its image": [4, 5, 6],
    }
    assert annotations.images[0].annotation_ids.tolist() == [1]


def test_polygons_with_fewer_than_three_points_are_dropped_and_named(caplog: pytest.LogCaptureFixture):
    whole = [5, 5, 20, 5, 20, 20.0]
    annotations = read(
        square(1, 10, 3, 5, 5, 15, segmentation=[[5, 5, 20, 20.0]]),
        square(2, 10, 3, 5, 5, 15, segmentation=[[5, 5.0], whole]),
    )
    assert annotations.dropped == {"polygon with fewer than three points": [1]}
    # Of the second only the broken part is left out, which is said.
    assert annotations.images[0].masks == [reference.merge(reference.frPyObjects([whole], 40, 60))["counts"]]
    assert "left out parts of fewer than three points of: annotation 2 (image 10)" in caplog.text


def test_a_file_of_which_nothing_is_left_is_refused():
    share = [0.2, 0.2, 0.8, 0.2, 0.8, 0.9]
    refused(
        instances([square(1, 10, 3, 5, 5, 10, segmentation=[share]), square(2, 10, 3, 70, 5, 10)]),
        "none of its annotations can be used; check that coordinates are pixels of these images",
        "as if normalised; COCO's are pixels, so multiply them by width and height of the image: 1",
        "mask without a pixel inside its image: 2",
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "7"])
def test_coordinates_that_are_no_numbers(bad):
    in_box = square(4, 10, 3, 5, 5, 10, bbox=[5, bad, 10, 10])
    in_polygon = square(5, 20, 3, 5, 5, 10, segmentation=[[5, 5, 10, 5, 10, bad]])
    content = json.loads(json.dumps(instances([in_box, in_polygon])))
    refused(content, "no finite numbers", "annotation 4 (image 10)", "annotation 5 (image 20)")


@pytest.mark.parametrize("segmentation", [None, [], {}, [[]], ""])
def test_an_object_without_segmentation_is_its_box(segmentation, caplog: pytest.LogCaptureFixture):
    # The box 4.5 … 14.75 holds the centres 5.5 … 14.5 in x and, shifted by 3, in y: 10 × 10 pixels.
    boxed = square(4, 10, 3, 4.75, 7.75, 10, segmentation=segmentation)
    del boxed["area"]
    annotations = read(boxed, square(5, 10, 3, 20, 5, 15))
    image = annotations.images[0]
    assert image.boxes[0].tolist() == [4.75, 7.75, 14.75, 17.75] and image.areas[0] == 100
    mask = decode_mask(image.masks[0], (40, 60))
    assert mask.sum() == 100 and mask[8:18, 5:15].all()
    assert image.is_box.tolist() == [True, False] and annotations.box_only == [4]
    [said] = caplog.messages
    assert "1 of 2 objects are annotated by a box" in said and "mask_head = None" in said


def test_normalised_boxes_without_mask_are_refused():
    # 0.2 … 0.9 holds the centre 0.5 of a pixel, so would be an object.
    boxed = square(4, 10, 3, 0.2, 0.3, 0.7, segmentation=[])
    refused(instances([boxed]), "none of its annotations can be used", "as if normalised", lines=1)


def test_corners_without_mask_are_refused():
    corners = [square(i, 10, 3, 0, 0, 1, bbox=[30, 20, 50, 35], segmentation=[]) for i in (1, 2)]
    refused(
        instances([*corners, square(3, 10, 3, 5, 5, 10, segmentation=[])]),
        "looks like corners [x0, y0, x1, y1], not [x, y, width, height], as it reaches beyond its image",
        "(2 of 3 boxes without mask): annotation 1 (image 10), bbox [30, 20, 50, 35], annotation 2",
        lines=1,
    )


def test_neither_segmentation_nor_box():
    refused(instances([square(4, 10, 3, 5, 5, 10, segmentation=[], bbox=None)]), "neither segmentation nor bbox", "n 4")


@pytest.mark.parametrize("box", [None, []])
def test_a_missing_box_is_the_extent_of_the_mask(box):
    assert read(square(1, 10, 3, 5, 6, 10, bbox=box)).images[0].boxes.tolist() == [[5, 6, 15, 16]]


def test_boxes_are_taken_from_masks_where_asked():
    options = ReadOptions(boxes_from_masks=True)
    content = instances(
        [
            square(1, 10, 3, 5, 6, 10, bbox=[5, 6, 15, 16]),
            square(2, 10, 3, 5, 6, 10, bbox="none of use"),
            square(3, 10, 3, 5.25, 6, 10, segmentation=None),
        ]
    )
    boxes = read_annotations(content, "instances.json", options=options).images[0].boxes
    assert boxes.tolist() == [[5, 6, 15, 16], [5, 6, 15, 16], [5.25, 6, 15.25, 16]]


def test_boxes_that_are_corners_are_refused():
    corners = [square(i, 10, 3, 10, 8, 20, bbox=[10, 8, 30, 28]) for i in (1, 2)]
    refused(instances(corners), "looks like corners [x0, y0, x1, y1]", "--boxes-from-masks", "(2 of 2 boxes)", lines=1)


def test_a_few_boxes_of_another_object_are_warned_of(caplog: pytest.LogCaptureFixture):
    annotations = read(
        *(square(i, 10, 3, 10, 8, 20) for i in range(1, 5)), square(5, 10, 3, 10, 8, 20, bbox=[1, 1, 5, 5], iscrowd=1)
    )
    assert annotations.images[0].annotation_ids.tolist() == [1, 2, 3, 4, 5]
    assert "(1 of 5 boxes): annotation 5 (image 10), bbox [1, 1, 5, 5], its mask within [10, 8, 30, 28]" in caplog.text


def test_boxes_beyond_their_image_are_clipped_and_named(caplog: pytest.LogCaptureFixture):
    image = read(square(1, 10, 3, 50, 5, 10.5), square(2, 10, 3, 50, 5, 30)).images[0]
    assert image.boxes.tolist() == [[50, 5, 60, 15.5], [50, 5, 60, 35]]
    assert caplog.messages == [
        "instances.json: boxes that reach beyond their image, so were clipped to it: annotation 2 (image 10)"
    ]


@pytest.mark.parametrize("box", [[5, 5, 1e9, 10], [-1e9, 5, 1e9, 10], [1e308, 5, 1e308, 10]])
def test_boxes_far_outside_are_refused(box):
    refused(instances([square(4, 10, 3, 5, 5, 10, bbox=box)]), "by more than its longer side", "annotation 4", lines=1)


def test_all_problems_are_told_at_once():
    stray = square(1, 99, 3, 5, 5, 10)
    unknown = square(2, 10, 5, 5, 5, 10)
    refused(
        instances([stray, unknown, square(3, 10, 3, 1, 1, 2), square(3, 10, 3, 1, 1, 2)]),
        'image that "images" does not list',
        "annotation 1 (image 99)",
        'category that "categories" does not list',
        "annotation 2 (image 10): category_id 5",
        "each its own: annotation 3",
        lines=4,
    )


def test_run_length_code_of_another_size():
    code = {"size": [60, 40], "counts": [2400]}
    refused(
        instances([square(1, 10, 3, 5, 5, 10, segmentation=code)]),
        "run-length code of another size (height × width) than its image: annotation 1 (image 10): 60×40 pixels",
        lines=1,
    )


@pytest.mark.parametrize("box", [[1, 2, 3], {"x": 1}, "5", 5, True])
def test_box_of_another_form(box):
    refused(instances([square(1, 10, 3, 5, 5, 10, bbox=box)]), "bbox must be [x, y, width, height]", "annotation 1")


def test_all_objects_may_lack_a_category_where_there_is_one_class():
    content = instances([square(1, 10, None, 5, 5, 10), square(2, 10, 7, 5, 5, 10)])
    refused(content, "without category; give each one, or read all as one class (--class-name NAME): annotation 1")
    options = ReadOptions(class_name="thing")
    assert read_annotations(content, "instances.json", options=options).images[0].annotation_ids.tolist() == [1, 2]


def test_images_without_size_take_that_of_the_file():
    content = instances([square(1, 20, 3, 5, 5, 10)])
    content["images"][1].update(width=-1, height=-1)
    sizes = []

    def locate(entry):
        sizes.append(entry.size)
        return Located(None, entry.size or (33, 44), False)

    annotations = read_annotations(content, "instances.json", locate)
    assert sizes == [(40, 60), None, (40, 60)]
    assert [image.size for image in annotations.images] == [(40, 60), (33, 44), (40, 60)]


def test_a_file_larger_than_can_be_read():
    content = instances([square(1, 10, 3, 5, 5, 10)], images=1)
    del content["images"][0]["width"]
    with pytest.raises(DatasetError, match=r"cannot be read: image 10 \(010\.png\): 50000×50000 \(height × width\)$"):
        read_annotations(content, "F", lambda entry: Located(None, (50000, 50000), False))


def test_no_annotation_is_blamed_for_its_image():
    def locate(entry):
        raise Refused("images that cannot be used", f"{entry.file_name}: missing")

    content = instances([square(1, 10, 3, 5, 5, 10), square(2, 20, 3, 5, 5, 10)], images=2)
    with pytest.raises(DatasetError) as error:
        read_annotations(content, "F", locate)
    assert str(error.value) == "F: images that cannot be used: 010.png: missing, 020.png: missing"


def test_one_file_as_two_images_is_warned_of(caplog: pytest.LogCaptureFixture):
    content = instances([])
    content["images"][1]["file_name"] = "./010.png"
    with caplog.at_level(logging.WARNING):
        assert len(read_annotations(content, "F").images) == 3
    said = (
        "F: the same file is listed as several images; join their annotations: image 10 (010.png), image 20 (./010.png)"
    )
    assert caplog.messages == [said]


def test_long_lists_are_cut():
    assert shorten_list([1, 2]) == "1, 2"
    assert shorten_list(list(range(13))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
