"""What becomes of entries and references that are wrong: each fault is named once, where it lies."""

import pytest
from conftest import instances, square

from maskrcnn_jax.data.prepare.coco.annotations import read_annotations
from maskrcnn_jax.data.prepare.problems import DatasetError


def message(content) -> str:
    with pytest.raises(DatasetError) as error:
        read_annotations(content, "F")
    return str(error.value)


def one() -> dict:
    """One image, 10, with one object of category 3."""
    return instances([square(1, 10, 3, 5, 5, 10)], images=1)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize(("entry", "text"), [(None, "null"), ([], "[]"), (7, "7"), ("x", "'x'")])
def test_entries_that_are_no_objects(key, entry, text):
    content = one()
    content[key].insert(0, entry)
    assert message(content) == f'F: "{key}" must hold objects {{…}}; remove the others: entry 0 ({text})'


@pytest.mark.parametrize("spelling", [float, str, lambda number: f"{number}.0"])
def test_ids_count_in_every_spelling(spelling):
    content = one()
    content["images"][0]["id"] = spelling(10)
    content["categories"][1]["id"] = spelling(3)
    content["annotations"].append(square(spelling(2), spelling(10), spelling(3), 5, 5, 10))
    annotations = read_annotations(content, "F")
    assert annotations.images[0].annotation_ids.tolist() == [1, 2] and annotations.category_ids == (3, 7)
    assert annotations.images[0].image_id == 10


@pytest.mark.parametrize("bad", ["a_00001", 1.5, True, 2**63, -(2**70), 1e30])
def test_an_image_id_that_is_no_number_is_named_once(bad):
    content = one()
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = bad
    said = message(content)
    assert said.startswith('F: "images" need whole numbers of 64 bits as id, also as image_id of annotations: image ')
    assert said.endswith("(010.png)") and len(said.splitlines()) == 1


@pytest.mark.parametrize("bad", ["cat", None, [3], {}, 3.5])
def test_a_category_id_that_is_no_number_is_named_once(bad):
    content = one()
    content["categories"][1]["id"] = bad
    if bad is not None:
        content["annotations"][0]["category_id"] = bad
    said = message(content)
    assert said.startswith(
        'F: "categories" need whole numbers of 64 bits as id, also as category_id of annotations: id '
    )
    assert said.endswith("('cat')")


@pytest.mark.parametrize("bad", ["6f1b9a3e-22c1", None, 2**63, True, [1]])
def test_an_annotation_id_that_is_no_number(bad):
    content = one()
    content["annotations"][0]["id"] = bad
    assert message(content).startswith("F: annotations need whole numbers of 64 bits as id: annotation ")


@pytest.mark.parametrize("field", ["image_id", "category_id"])
@pytest.mark.parametrize("bad", ["x", 1.5, [3], {}, True])
def test_references_that_are_no_numbers(field, bad):
    content = one()
    content["annotations"][0][field] = bad
    assert f"annotations need as {field} a whole number that " in message(content)


@pytest.mark.parametrize("name", [None, 17, "", " ", "a\0.png", "\ud800", ["a.png"], True])
def test_file_names_that_are_no_names(name):
    content = one()
    content["images"][0]["file_name"] = name
    assert message(content).startswith("F: images need file_name, the name of a file: image 10 (")


@pytest.mark.parametrize("url", [None, "", "http://example.org", "http://[", 7])
def test_no_name_and_no_url_that_has_one(url):
    content = one()
    del content["images"][0]["file_name"]
    content["images"][0]["coco_url"] = url
    assert message(content).startswith("F: images need file_name, the name of a file: image 10 (")


def test_the_end_of_the_url_names_a_file():
    content = one()
    del content["images"][0]["file_name"]
    content["images"][0]["coco_url"] = "http://images.example.org/a/val2017/0%20139.jpg?size=1"
    assert read_annotations(content, "F").images[0].file_name == "val2017/0 139.jpg"


@pytest.mark.parametrize("bad", [1.5, "wide", [60], True, -2, "-7"])
def test_sides_that_are_no_numbers(bad):
    content = one()
    content["images"][0]["width"] = bad
    said = message(content)
    assert said.startswith(
        "F: images need whole numbers as height and width; leave out both to take them from the file"
    )
    assert ": image 10 (010.png): width " in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("sides", [{"width": "60", "height": 40.0}, {"width": 60.0, "height": "40"}])
def test_sides_in_other_spellings(sides):
    content = one()
    content["images"][0].update(sides)
    assert read_annotations(content, "F").images[0].size == (40, 60)


@pytest.mark.parametrize("sides", [{"width": 2**21}, {"width": 2**63 - 1}, {"width": 60000, "height": 60000}])
def test_sizes_that_no_image_has(sides):
    content = one()
    content["images"][0].update(sides)
    assert "and more cannot be read: image 10 (010.png): " in message(content)


@pytest.mark.parametrize("name", [None, 7, "", ["cat"], "\ud800"])
def test_category_names_that_are_no_text(name):
    content = one()
    content["categories"][1]["name"] = name
    assert message(content).startswith('F: "categories" need id and name, the name a text: id 3 (')


def test_two_images_of_one_id():
    content = instances([], images=2)
    content["images"][1]["id"] = 10
    assert message(content) == "F: two images have the same id; give each its own: image 10 (020.png)"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "null, not a COCO instances file"),
        ("x", "'x', not a COCO instances file"),
        ([], "a list, not a COCO instances file"),
        ([{"image_id": 1, "score": 0.5}], "a list of detections, COCO's results format, not a COCO instances file"),
        ({"images": [], "annotations": {}, "categories": []}, "which holds the lists images, annotations, categories"),
        ({"annotations": [], "categories": {}}, '"images" is missing, "categories" is {}'),
        ({"images": [], "categories": []}, 'holds no "annotations", as files of unlabelled images do'),
        ({"images": [{}], "annotations": None}, 'holds no "annotations", as files of unlabelled images do'),
        ({"images": [], "annotations": [{"segments_info": []}], "categories": []}, "a COCO panoptic file"),
        ({"images": [], "annotations": [{"caption": "A cat."}]}, "a COCO captions file"),
        (
            {"images": [], "annotations": [{"keypoints": [1, 2, 2]}], "categories": []},
            "keypoints without masks or boxes",
        ),
        ({"images": [], "annotations": [], "categories": [{}]}, '"images" is empty; a data set needs at least one'),
        ({"images": [{}], "annotations": [], "categories": []}, '"categories" is empty; a data set needs'),
    ],
)
def test_files_of_another_kind(content, what):
    said = message(content)
    assert what in said and len(said.splitlines()) == 1


def test_people_with_keypoints_and_masks_are_read():
    content = one()
    content["annotations"][0].update(keypoints=[0] * 51, num_keypoints=0)
    assert read_annotations(content, "F").images[0].annotation_ids.tolist() == [1]
