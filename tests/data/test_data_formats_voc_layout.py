import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared import assert_objects, block, prepared, write_image

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.formats.voc import is_voc
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions

SIZE = (10, 12)
CAT_PIXELS = block(SIZE, slice(1, 5), slice(0, 3))
"""x from 1 to 3 and y from 2 to 5, counted from 1, both included."""

XML = (
    "<annotation><filename>{}</filename><object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax>"
    "<ymax>5</ymax></bndbox></object></annotation>"
)


def write_xml(path: Path, file_name: str = "a.jpg") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(XML.format(file_name))


def write_labels(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint8)).save(path)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("Annotations", "JPEGImages"),
        ("Annotations", "images"),
        ("annotations", "Images"),
        ("annotations/xmls", "images"),  # The Oxford-IIIT Pet data set.
        ("VOCdevkit/VOC2012/Annotations", "VOCdevkit/VOC2012/JPEGImages"),
        ("VOC2007/Annotations", "VOC2007/JPEGImages"),
        (".", "."),  # labelImg's default.
        ("train", "train"),  # Roboflow.
    ],
)
def test_where_tools_put_annotations_and_images(tmp_path: Path, annotations: str, images: str):
    data = tmp_path / "data"
    write_xml(data / annotations / "a.xml")
    write_image(data / images / "a.jpg", *SIZE)
    classes, [example] = prepared(data)
    assert_objects(example, classes, [("cat", CAT_PIXELS)])


def test_a_folder_of_each_split(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = tmp_path / "data"
    for split in ("train", "valid", "test"):
        write_image(data / split / "a.jpg", *SIZE)
    for split in ("train", "valid"):
        write_xml(data / split / "a.xml")
    with caplog.at_level(logging.WARNING):
        assert [split.name for split in open_dataset(data).splits] == ["train", "val"]
    assert f"left out splits without XML files: {data}/test\n" in caplog.text
    with pytest.raises(DatasetError, match=r"test: holds no XML files; annotate its images, or leave the split out"):
        open_dataset(data, ReadOptions(("test",)))


def test_folders_of_splits_inside_of_annotations(tmp_path: Path):
    data = tmp_path / "data"
    for split in ("train", "val"):
        write_xml(data / "Annotations" / split / "a.xml")
        write_image(data / "images" / split / "a.jpg", *SIZE)
    splits = open_dataset(data).splits
    assert [split.name for split in splits] == ["train", "val"]
    assert [image.file_name for split in splits for image in split.read().images] == [
        "images/train/a.jpg",
        "images/val/a.jpg",
    ]


@pytest.mark.parametrize("annotations", ["Annotations", "annotations", "."])
def test_other_xml_is_not_pascal_voc(tmp_path: Path, annotations: str):
    (tmp_path / annotations).mkdir(exist_ok=True)
    (tmp_path / annotations / "annotations.xml").write_text("<?xml version='1.0'?><annotations></annotations>")
    assert not is_voc(tmp_path)


def test_images_are_found_by_the_name_of_the_xml_then_by_what_it_says(tmp_path: Path):
    data = tmp_path / "data"
    write_xml(data / "Annotations" / "renamed.xml", "DSC_1.JPG")
    write_image(data / "JPEGImages" / "renamed.jpg", *SIZE)
    write_xml(data / "Annotations" / "b.xml", "D:\\photos\\other.png")
    write_image(data / "JPEGImages" / "other.png", *SIZE)
    [split] = open_dataset(data).splits
    assert [image.file_name for image in split.read().images] == ["JPEGImages/other.png", "JPEGImages/renamed.jpg"]


def test_two_images_of_one_name(tmp_path: Path):
    data = tmp_path / "data"
    for name in ("a.jpg", "a.png"):
        write_image(data / "JPEGImages" / name, *SIZE)
    write_xml(data / "Annotations" / "a.xml", "a.png")
    [split] = open_dataset(data).splits
    assert [image.file_name for image in split.read().images] == ["JPEGImages/a.png"]
    write_xml(data / "Annotations" / "a.xml", "DSC.png")
    with pytest.raises(DatasetError, match=r"may belong to several images; keep one: a \(.*a\.jpg, .*a\.png\)$"):
        open_dataset(data)


def test_an_image_that_is_not_there(tmp_path: Path):
    write_xml(tmp_path / "data" / "Annotations" / "a.xml")
    write_image(tmp_path / "photos" / "a.jpg", *SIZE)
    with pytest.raises(DatasetError, match=r"missing, looked for in \S+data; .*\(--images\): a\.jpg"):
        open_dataset(tmp_path / "data")
    classes, [example] = prepared(tmp_path / "data", images=tmp_path / "photos")
    assert_objects(example, classes, [("cat", CAT_PIXELS)])


def test_an_image_outside_the_data_set_is_asked_about(tmp_path: Path):
    write_xml(tmp_path / "data" / "Annotations" / "a.xml", "../a.jpg")
    write_image(tmp_path / "a.jpg", *SIZE)
    with pytest.raises(DatasetError, match=r"--outside-images"):
        open_dataset(tmp_path / "data")


def test_images_without_xml_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_xml(tmp_path / "data" / "Annotations" / "a.xml")
    for name in "ab":
        write_image(tmp_path / "data" / "JPEGImages" / f"{name}.jpg", *SIZE)
    with caplog.at_level(logging.WARNING):
        open_dataset(tmp_path / "data")
    assert "left out images without an XML file: JPEGImages/b\n" in caplog.text


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a\r\nb c\r\n\r\n", ["a", "b c"]),
        (b"\xef\xbb\xbfa\nb c", ["a", "b c"]),
        (b"a  1\nb c -1\n", ["a", "b c"]),
        (b'"b c"\n', ["b c"]),
        (b"a\na\n", ["a"]),
    ],
)
def test_lists_as_systems_write_them(tmp_path: Path, content: bytes, names: list[str]):
    data = tmp_path / "data"
    for name in ("a", "b c"):
        write_xml(data / "Annotations" / f"{name}.xml")
        write_image(data / "JPEGImages" / f"{name}.jpg", *SIZE)
    (data / "ImageSets" / "Main").mkdir(parents=True)
    (data / "ImageSets" / "Main" / "default.txt").write_bytes(content)
    [split] = open_dataset(data).splits
    assert (split.name, [image.file_name for image in split.read().images]) == (
        "train",
        [f"JPEGImages/{name}.jpg" for name in names],
    )


def test_lists_that_cannot_be_read(tmp_path: Path):
    write_xml(tmp_path / "Annotations" / "a.xml")
    write_image(tmp_path / "JPEGImages" / "a.jpg", *SIZE)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"train\.txt: its text is not UTF-8 \(byte 2\); convert it"):
        open_dataset(tmp_path)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\ngone\n")
    with pytest.raises(DatasetError, match=r"gone\.xml: missing"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("ending", ["", "PNG"])
def test_what_labelme_exports_without_xml(tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture):
    """`labelme2voc.py`: the class of an object is that of its pixels; 255 is what it ignores."""
    data = tmp_path / "data"
    write_image(data / "JPEGImages" / "a.jpg", *SIZE)
    dog = block(SIZE, slice(6, 9), slice(5, 11))
    write_labels(data / f"SegmentationObject{ending}" / "a.png", CAT_PIXELS + 2 * dog)
    write_labels(data / f"SegmentationClass{ending}" / "a.png", 2 * CAT_PIXELS + dog)
    (data / "class_names.txt").write_text("_background_\ndog\ncat")
    classes, [example] = prepared(data)
    assert_objects(example, classes, [("cat", CAT_PIXELS), ("dog", dog)])
    assert prepared(data, class_name="animal")[0] == ("animal",)

    write_labels(data / f"SegmentationClass{ending}" / "a.png", 3 * CAT_PIXELS + dog)
    with pytest.raises(DatasetError, match=r"class_names\.txt does not list: a object 1 \(3\)$"):
        open_dataset(data)
    write_labels(
        data / f"SegmentationClass{ending}" / "a.png", CAT_PIXELS + block(SIZE, slice(1, 2), slice(0, 3)) + dog
    )
    with pytest.raises(DatasetError, match=r"objects of several classes in SegmentationClass/: a object 1 "):
        open_dataset(data)
    (data / "class_names.txt").unlink()
    assert not is_voc(data)
    assert not caplog.text
