import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared import STORED, assert_objects, block, mean_under, prepared, write_image, write_turned

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions

SIZE = (10, 12)
CAT = ("cat", (1, 2, 3, 5))
CAT_PIXELS = block(SIZE, slice(1, 5), slice(0, 3))
"""x from 1 to 3 and y from 2 to 5, counted from 1, both included."""
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
    write_image(folder / "JPEGImages" / f"{name}.jpg", *SIZE)


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
    assert [image.file_name for image in both.read().images] == [f"JPEGImages/{name}.jpg" for name in "abc"]
    with pytest.raises(DatasetError, match="no images"):
        open_dataset(folder, ReadOptions(("test",)))
    assert "left out images that SegmentationObject/ does not show: missing\n" in caplog.text
    with pytest.raises(DatasetError, match=r"Segmentation lists test, train, trainval, val; name some of these"):
        open_dataset(folder, ReadOptions(("minival",)))


def test_lists_of_one_class_and_one_list_for_all(folder: Path):
    write_xml(folder, "a", CAT)
    write_xml(folder, "b", CAT)
    write_list(folder, "Main", "trainval", "a", "b")
    write_list(folder, "Main", "cat_train", "a  1")
    assert [split.name for split in open_dataset(folder).splits] == ["train"]
    [cats] = open_dataset(folder, ReadOptions(("cat_train",))).splits
    assert [image.file_name for image in cats.read().images] == ["JPEGImages/a.jpg"]


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
    assert "left out objects without pixels in SegmentationObject/: a.xml 'owl'\n" in caplog.text
    assert "left out images that SegmentationObject/ does not show: unseen\n" in caplog.text


def test_images_without_objects(folder: Path, caplog: pytest.LogCaptureFixture):
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
    assert "add the files, or name their folder (--images): d.jpg" in str(error.value)


def polygon(*corners: tuple[float, float], points: bool = False) -> str:
    """As Roboflow writes polygons, or as LabelMe and CVAT do."""
    if points:
        return "<polygon>" + "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners) + "</polygon>"
    numbered = enumerate(corners, 1)
    return "<polygon>" + "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in numbered) + "</polygon>"


BOX = "<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>10</xmax><ymax>9</ymax></bndbox>"


def write_raw(folder: Path, *contents: str, name: str = "a", before: str = "") -> None:
    """An annotation file of objects that are called thing, and its image."""
    objects = "".join(f"<object><name>thing</name>{inside}</object>" for inside in contents)
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{before}{objects}</annotation>")
    write_image(folder / "JPEGImages" / f"{name}.jpg", *SIZE)


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("box", [BOX, ""])
def test_polygons_go_before_boxes(folder: Path, points: bool, box: str, caplog: pytest.LogCaptureFixture):
    # From (2, 1) to (10, 1) and (2, 9): a pixel at (x, y) is inside if x - 2 + y - 1 + 1 ≤ 8. 8 + 7 + … + 1 = 36.
    write_raw(folder, box + polygon((2, 1), (10, 1), (2, 9), points=points))
    triangle = np.zeros(SIZE, np.uint8)
    for row in range(8):
        triangle[1 + row, 2 : 10 - row] = 1
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(folder)
    assert_objects(example, classes, [("thing", triangle)])
    assert example.masks[0].sum() == 36
    assert "annotated by a box" not in caplog.text


def test_a_polygon_of_two_points_is_left_out(folder: Path):
    write_raw(folder, polygon((2, 1), (10, 1), (2, 1)), BOX)
    assert open_dataset(folder).dropped == {
        "polygons with fewer than three points; draw them again": ["a.xml 'thing'"],
    }


def test_boxes_that_begin_at_0_are_cut_and_warned_of(folder: Path, caplog: pytest.LogCaptureFixture):
    write_xml(folder, "a", ("cat", (0, 0, 11, 9)))
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(folder)
    assert_objects(example, classes, [("cat", block(SIZE, slice(0, 9), slice(0, 11)))])
    assert "boxes that begin at 0, though VOC counts pixels from 1" in caplog.text


@pytest.mark.parametrize(
    ("text", "is_crowd"),
    [("1", True), ("true", True), ("Yes", True), ("0", False), ("false", False), ("No", False), ("", False)],
)
def test_difficult_in_words(folder: Path, text: str, is_crowd: bool):
    write_raw(folder, BOX, f"{BOX}<difficult> {text} </difficult>")
    _, [example] = prepared(folder)
    assert example.is_crowd.tolist() == [False, is_crowd]


@pytest.mark.parametrize(
    ("size", "orientation", "annotated", "turns"),
    [
        # What labelImg shows is the stored raster; only a size that it has not says otherwise.
        *(((64, 96), orientation, (64, 96), False) for orientation in (None, 1, 2, 3, 4)),
        *(((64, 64), orientation, (64, 64), False) for orientation in range(1, 9)),
        *(((64, 96), orientation, (96, 64), False) for orientation in (5, 6, 7, 8)),
        *(((64, 96), orientation, (64, 96), True) for orientation in (5, 6, 7, 8)),
        *(((64, 96), orientation, None, False) for orientation in (None, 3, 6)),
    ],
)
def test_boxes_refer_to_the_raster_of_the_annotated_size(
    folder: Path,
    size: tuple[int, int],
    orientation: int | None,
    annotated: tuple[int, int] | None,
    turns: bool,
    caplog: pytest.LogCaptureFixture,
):
    """`size` is the upright one."""
    upright = np.full(size, 40, np.uint8)
    upright[6:20, 4:28] = 230
    sides = "" if annotated is None else f"<size><height>{annotated[0]}</height><width>{annotated[1]}</width></size>"
    shown = upright if turns else np.ascontiguousarray(STORED[orientation or 1](upright))
    y, x = np.flatnonzero((shown > 99).any(axis=1)), np.flatnonzero((shown > 99).any(axis=0))
    x0, y0, x1, y1 = x[0] + 1, y[0] + 1, x[-1] + 1, y[-1] + 1
    box = f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
    write_raw(folder, box, before=sides)
    write_turned(folder / "JPEGImages" / "a.jpg", upright, orientation)
    with caplog.at_level(logging.WARNING):
        _, [example] = prepared(folder)
    assert example.image.shape[:2] == shown.shape
    assert mean_under(example) == pytest.approx(230, abs=3)
    assert ("says no size" in caplog.text) == (annotated is None and orientation is not None)


def test_another_size_than_annotated(folder: Path):
    write_raw(folder, BOX, before="<size><width>24</width><height>20</height></size>")
    with pytest.raises(DatasetError, match=r"of another size .*a\.jpg has 10×12 pixels .*its annotation says 20×24$"):
        open_dataset(folder)
    write_objects(folder, "a", CAT_PIXELS)
    with pytest.raises(DatasetError, match=r"its SegmentationObject have 10×12 pixels .*, its XML says 20×24$"):
        open_dataset(folder)


def test_sizes_of_0_are_not_known(folder: Path):
    write_raw(folder, BOX, before="<size><width>0</width><height>0</height></size>")
    classes, [example] = prepared(folder)
    assert_objects(example, classes, [("thing", block(SIZE, slice(1, 9), slice(2, 10)))])
