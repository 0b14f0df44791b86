import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared import assert_objects, block, prepared, write_picture

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.formats import open_dataset
from maskrcnn_jax.data.read_options import ReadOptions

SIZE = (10, 12)
CAT = ("cat", (1, 2, 3, 5))
CAT_PIXELS = block(SIZE, slice(1, 5), slice(0, 3))
"""Columns 1 to 3 and rows 2 to 5, counted from 1, both included."""
DOG = ("dog", (7, 3, 12, 10))
DOG_PIXELS = block(SIZE, slice(2, 10), slice(6, 12))


def write_xml(
    folder: Path, name: str, *objects: tuple[str, tuple[float, ...]], difficult: tuple[int, ...] = ()
) -> None:
    """An annotation file, with a part of an object as VOC has them for persons."""
    lines = [f"<annotation><filename>{name}.jpg</filename>"]
    for number, (label, (x0, y0, x1, y1)) in enumerate(objects):
        box = f"<bndbox><xmax>{x1}</xmax><xmin>{x0}</xmin><ymax>{y1}</ymax><ymin>{y0}</ymin></bndbox>"
        part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
        lines.append(
            f"<object><name>{label}</name><difficult>{int(number in difficult)}</difficult>{box}{part}</object>"
        )
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / "Annotations" / f"{name}.xml").write_text("\n".join([*lines, "</annotation>"]))
    write_picture(folder / "JPEGImages" / f"{name}.jpg", *SIZE)


def write_objects(folder: Path, name: str, labels: np.ndarray) -> None:
    """A palette image, in which void has the number 255."""
    (folder / "SegmentationObject").mkdir(exist_ok=True)
    image = Image.frombytes("P", labels.shape[::-1], labels.astype(np.uint8).tobytes())
    image.putpalette([value for number in range(256) for value in (number, 255 - number, 7)])
    image.save(folder / "SegmentationObject" / f"{name}.png")


def write_list(folder: Path, kind: str, name: str, *lines: str) -> None:
    (folder / "ImageSets" / kind).mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets" / kind / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "VOC2012"


def test_masks_come_from_the_object_images(folder: Path):
    """Objects are joined by their boxes, whatever their order; void around them is nobody's."""
    write_xml(folder, "a", DOG, CAT)
    labels = CAT_PIXELS * 1 + DOG_PIXELS * 2
    labels[2, 6:] = 255  # The dog loses a row of its box: IoU 7 / 8.
    write_objects(folder, "a", labels)
    classes, [example] = prepared(folder)
    assert classes == ("cat", "dog")
    assert_objects(example, classes, [("cat", CAT_PIXELS), ("dog", (labels == 2).astype(np.uint8))])


def test_the_better_fit_wins(folder: Path):
    # Two boxes over the same object: one is off by a column.
    write_xml(folder, "a", ("near", (7, 3, 11, 10)), ("exact", (7, 3, 12, 10)))
    write_objects(folder, "a", DOG_PIXELS)
    classes, [example] = prepared(folder)
    assert_objects(example, classes, [("exact", DOG_PIXELS)])


def test_the_lists_of_segmentation_say_the_splits(folder: Path, caplog: pytest.LogCaptureFixture):
    for name in "abc":
        write_xml(folder, name, CAT)
        write_objects(folder, name, CAT_PIXELS)
    write_xml(folder, "boxes", CAT)
    write_list(folder, "Main", "train", "a", "b", "c", "boxes")
    write_list(folder, "Segmentation", "train", "a", "c")
    write_list(folder, "Segmentation", "val", "b")
    write_list(folder, "Segmentation", "trainval", "a", "b", "c")
    write_list(folder, "Segmentation", "test", "missing")
    with caplog.at_level(logging.WARNING):
        assert [split.name for split in open_dataset(folder).splits] == ["train", "val"]
    assert not caplog.text
    [both] = open_dataset(folder, ReadOptions(("trainval",))).splits
    assert [image["file_name"] for image in both.read()["images"]] == [f"JPEGImages/{name}.jpg" for name in "abc"]
    with pytest.raises(DatasetError, match="no pictures"):
        open_dataset(folder, ReadOptions(("test",)))
    assert "left out pictures that SegmentationObject/ does not show: missing\n" in caplog.text
    with pytest.raises(DatasetError, match=r"Segmentation lists test, train, trainval, val; name some of these"):
        open_dataset(folder, ReadOptions(("minival",)))


def test_lists_of_one_class_and_one_list_for_all(folder: Path):
    write_xml(folder, "a", CAT)
    write_xml(folder, "b", CAT)
    write_list(folder, "Main", "trainval", "a", "b")
    write_list(folder, "Main", "cat_train", "a  1")
    assert [split.name for split in open_dataset(folder).splits] == ["train"]
    [cats] = open_dataset(folder, ReadOptions(("cat_train",))).splits
    assert [image["file_name"] for image in cats.read()["images"]] == ["JPEGImages/a.jpg"]


def test_boxes_alone_are_filled(folder: Path, caplog: pytest.LogCaptureFixture):
    write_xml(folder, "a", CAT, DOG)
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(folder)
    assert_objects(example, classes, [("cat", CAT_PIXELS), ("dog", DOG_PIXELS)])
    assert (
        "2 of 2 objects are annotated by a box, which now is their mask, filled; train such data without" in caplog.text
    )


@pytest.mark.parametrize("segmented", [False, True])
def test_difficult_objects_become_crowds(folder: Path, segmented: bool, caplog: pytest.LogCaptureFixture):
    write_xml(folder, "a", CAT, DOG, difficult=(1,))
    if segmented:
        write_objects(folder, "a", CAT_PIXELS + DOG_PIXELS * 255)  # VOC shows difficult objects as void.
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(folder)
    assert_objects(example, classes, [("cat", CAT_PIXELS), ("dog", DOG_PIXELS)])
    assert example.is_crowd.tolist() == [False, True]
    # A crowd is no object to learn, so its box is none to warn of.
    assert ("objects are annotated by a box" in caplog.text) == (not segmented)


def test_what_fits_nothing_is_left_out(folder: Path, caplog: pytest.LogCaptureFixture):
    write_xml(folder, "a", CAT, ("owl", (7, 1, 12, 2)))
    write_xml(folder, "unseen", CAT)
    write_objects(folder, "a", CAT_PIXELS + DOG_PIXELS * 2)
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(folder)
    assert_objects(example, classes, [("cat", CAT_PIXELS)])
    assert "left out objects of SegmentationObject/ that fit no bndbox: a object 2\n" in caplog.text
    assert "left out objects without pixels in SegmentationObject/: a 'owl'\n" in caplog.text
    assert "left out pictures that SegmentationObject/ does not show: unseen\n" in caplog.text


def test_pictures_without_objects(folder: Path, caplog: pytest.LogCaptureFixture):
    write_xml(folder, "a", CAT)
    write_xml(folder, "d")
    write_objects(folder, "d", DOG_PIXELS)
    write_xml(folder, "b")
    write_xml(folder, "c", CAT)
    for name, labels in (("a", CAT_PIXELS), ("b", CAT_PIXELS * 0), ("c", CAT_PIXELS * 0)):
        write_objects(folder, name, labels)
    with caplog.at_level(logging.WARNING):
        classes, examples = prepared(folder)
    assert [len(example.labels) for example in examples] == [1, 0, 0, 0]
    assert "fit no bndbox: d object 1\n" in caplog.text
    assert_objects(examples[0], classes, [("cat", CAT_PIXELS)])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<annotation><object>", r"a\.xml: no element found"),
        ("<annotation><object><name>cat</name></object></annotation>", r"a\.xml: object 0 lacks its name or a side"),
        (
            "<annotation><object><name>cat</name><bndbox><xmin>one</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
            "</bndbox></object></annotation>",
            r"a\.xml: could not convert string to float: 'one'",
        ),
        (
            "<annotation><object><name>cat</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
            "</bndbox></object></annotation>",
            r"a\.xml: object 0 has a bndbox of no numbers",
        ),
    ],
)
def test_xml_that_cannot_be_read(folder: Path, text: str, complaint: str):
    write_xml(folder, "a", CAT)
    (folder / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(
        DatasetError, match=r"annotations that cannot be read; fetch or write them again: .*" + complaint
    ):
        open_dataset(folder)


def test_files_that_are_missing_or_broken(folder: Path):
    for name in "abcd":
        write_xml(folder, name, CAT)
        write_objects(folder, name, CAT_PIXELS)
    (folder / "Annotations" / "b.xml").unlink()
    (folder / "SegmentationObject" / "c.png").write_bytes(b"<html>")
    (folder / "JPEGImages" / "d.jpg").unlink()
    write_list(folder, "Segmentation", "train", *"abcd")
    with pytest.raises(DatasetError) as error:
        open_dataset(folder)
    assert "b.xml: missing" in str(error.value)
    assert "c.png: not an image but a web page" in str(error.value)
    assert "pictures that JPEGImages/ does not hold: d" in str(error.value)


def test_without_pictures(folder: Path):
    write_xml(folder, "a", CAT)
    (folder / "JPEGImages").rename(folder / "images")
    with pytest.raises(DatasetError, match=r"has Annotations/, but no JPEGImages/"):
        open_dataset(folder)
