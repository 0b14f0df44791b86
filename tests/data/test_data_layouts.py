"""Where people and tools put files, and what a folder that is not understood is told."""

import json
import logging
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import instances, square
from prepared import prepared, write_image, write_json

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.data.prepare.run import prepare

SIZE = (40, 60)


def coco(*names: str) -> dict:
    """One square in each image of these names."""
    content = instances([square(n, 10 * n, 7, 2, 3, 10) for n in range(1, len(names) + 1)], images=len(names))
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    return content


@pytest.mark.parametrize(
    ("annotations", "names", "files"),
    [
        pytest.param("result.json", ["images/a.jpg"], ["images/a.jpg"], id="Label Studio"),
        pytest.param("result.json", [r"images\a.jpg"], ["images/a.jpg"], id="Label Studio on Windows"),
        pytest.param("result.json", [r"..\..\media\upload\4\a.jpg"], ["images/a.jpg"], id="Label Studio 1.16"),
        pytest.param("annotations/instances_default.json", ["a.png"], ["images/default/a.png"], id="CVAT"),
        pytest.param("annotations/instances_default.json", ["a.png"], ["images/a.png"], id="CVAT without subsets"),
        pytest.param("annotations/instances_Train.json", ["Data/a.bmp"], ["images/Train/Data/a.bmp"], id="CVAT frames"),
        pytest.param("train/_annotations.coco.json", ["a.jpg"], ["train/a.jpg"], id="Roboflow"),
        pytest.param("annotations.json", ["JPEGImages/a.jpg"], ["JPEGImages/a.jpg"], id="labelme2coco"),
        pytest.param("via_coco.json", ["a.jpg"], ["a.jpg"], id="VIA's export"),
        pytest.param("labels.json", ["a.jpg"], ["data/a.jpg"], id="FiftyOne"),
        pytest.param("lvis_v1_train.json", ["http://images.org/val2017/a.jpg"], ["val2017/a.jpg"], id="LVIS"),
        pytest.param("annotations/instances_val2017.json", ["a.jpg"], ["valid/a.jpg"], id="another name of the split"),
        pytest.param("deep/er/export.json", ["a.jpg"], ["deep/er/images/a.jpg"], id="deep"),
    ],
)
def test_coco_files_are_read_where_tools_put_them(tmp_path: Path, annotations: str, names: list[str], files: list[str]):
    folder = tmp_path / "data"
    write_json(folder / annotations, coco(*names))
    for name in files:
        write_image(folder / name, *SIZE)
    [split] = open_dataset(folder).splits
    classes, [example] = prepared(folder, split.name)
    assert (classes, example.labels.tolist()) == (("cat", "dog"), [1])
    # The file itself is enough, too.
    assert prepare(folder / annotations, tmp_path / "out").counts == {"train": 1}


def test_roboflow(tmp_path: Path):
    folder = tmp_path / "data"
    for split in ("train", "valid", "test"):
        write_json(folder / split / "_annotations.coco.json", coco("a.jpg"))
        write_image(folder / split / "a.jpg", *SIZE)
    write_json(folder / "test" / "_annotations.coco.json", {**coco("a.jpg"), "annotations": []})
    (folder / "README.roboflow.txt").write_text("exported")
    assert prepare(folder, tmp_path / "out").counts == {"train": 1, "val": 1}


def test_lvis_splits_share_the_folders_of_coco(tmp_path: Path):
    folder = tmp_path / "data"
    write_json(folder / "lvis_v1_train.json", coco("http://x.org/train2017/a.jpg", "http://x.org/val2017/b.jpg"))
    write_json(folder / "lvis_v1_val.json", coco("http://x.org/val2017/a.jpg"))
    for name in ("train2017/a.jpg", "val2017/a.jpg", "val2017/b.jpg"):
        write_image(folder / name, *SIZE)
    assert prepare(folder, tmp_path / "out").counts == {"train": 2, "val": 1}


def test_splits_in_capitals_and_two_folders_of_one(tmp_path: Path):
    folder = tmp_path / "data"
    region = {"name": "polygon", "all_points_x": [2, 5, 5], "all_points_y": [3, 3, 6]}
    for split in ("Train", "Validation"):
        entry = {"filename": "a.png", "regions": [{"shape_attributes": region, "region_attributes": {}}]}
        write_json(folder / split / "via.json", {"a.png": entry})
        write_image(folder / split / "a.png", *SIZE)
    assert prepare(folder, tmp_path / "out").counts == {"train": 1, "val": 1}
    (folder / "valid").mkdir()
    with pytest.raises(DatasetError, match="Validation/, valid/ are both the split 'val'; put their files into one"):
        open_dataset(folder)


def test_a_split_called_all_can_be_opened(tmp_path: Path):
    """TFDS takes "all" for the union of the splits, and never ends where one of them has that name."""
    write_json(tmp_path / "data" / "annotations" / "instances_all.json", coco("a.jpg"))
    write_image(tmp_path / "data" / "a.jpg", *SIZE)
    assert [len(prepared(tmp_path / "data", "all_images")[1])] == [1]


def test_linked_image_folders_are_read_when_allowed(tmp_path: Path):
    folder = tmp_path / "data"
    write_json(folder / "annotations" / "instances_train.json", coco("a.jpg"))
    write_image(tmp_path / "disk" / "a.jpg", *SIZE)
    (folder / "train").symlink_to(tmp_path / "disk")
    with pytest.raises(DatasetError, match=r"images that are outside \S+data; allow such images with --outside-images"):
        prepare(folder, tmp_path / "out")
    assert prepare(folder, tmp_path / "out", outside_images=True).counts == {"train": 1}
    assert prepare(folder, tmp_path / "out", images=tmp_path / "disk").counts == {"train": 1}


def test_linked_images_of_masks_are_read_when_allowed(tmp_path: Path):
    folder = tmp_path / "data"
    write_image(tmp_path / "disk" / "a.png", 4, 5)
    (folder / "masks").mkdir(parents=True)
    cv2.imwrite(str(folder / "masks" / "a.png"), np.array([[0, 1, 1, 2, 2]] * 4, np.uint8))
    (folder / "images").symlink_to(tmp_path / "disk")
    with pytest.raises(DatasetError, match=r"images that are outside \S+data; allow such images with --outside-images"):
        prepare(folder, tmp_path / "out")
    assert prepare(folder, tmp_path / "out", outside_images=True).counts == {"train": 1}


def test_what_is_left_out_beside_coco_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = tmp_path / "data"
    write_json(folder / "annotations.json", coco("a.jpg"))
    write_json(folder / "captions.json", {**coco("a.jpg"), "annotations": [{"id": 1, "image_id": 10, "caption": "x"}]})
    (folder / "old.json").write_text("{")
    write_image(folder / "a.jpg", *SIZE)
    with caplog.at_level(logging.WARNING):
        assert prepare(folder, tmp_path / "out").counts == {"train": 1}
    assert "captions.json: COCO captions, left out beside COCO's annotations" in caplog.text
    assert "left out" in caplog.text
    assert "old.json: not valid JSON" in caplog.text


def test_links_that_lead_round_pipes_and_hidden_folders_are_passed_over(tmp_path: Path):
    folder = tmp_path / "data"
    write_json(folder / "sub" / "result.json", coco("a.jpg"))
    write_json(folder / ".cache" / "result.json", coco("a.jpg"))
    write_image(folder / "sub" / "images" / "a.jpg", *SIZE)
    (folder / "sub" / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe.json")
    assert prepare(folder, tmp_path / "out").counts == {"train": 1}


VIA_3 = {"project": {}, "config": {}, "attribute": {}, "file": {}, "metadata": {}, "view": {}}
PANOPTIC = {"images": [], "annotations": [{"image_id": 1, "segments_info": []}], "categories": []}
KEYPOINTS = {"images": [], "annotations": [{"id": 1, "bbox": [1, 2, 3, 4], "keypoints": [1, 1, 2]}], "categories": []}
CAPTIONS = {"images": [], "annotations": [{"id": 1, "caption": "a dog"}]}
RESULTS = [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [1, 2, 3, 4]}]
LABEL_STUDIO = [{"id": 1, "annotations": [{"result": []}], "data": {"image": "/data/upload/a.png"}}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (VIA_3, "a VIA 3 project; export it in COCO's format"),
        (PANOPTIC, "COCO panoptic; its masks lie in PNG files"),
        (KEYPOINTS, "COCO keypoints; these have no masks; give COCO's instances_"),
        (CAPTIONS, "COCO captions; they do not say where objects are"),
        (RESULTS, "COCO results; they are detections, not annotations"),
        (LABEL_STUDIO, 'Label Studio\'s own JSON; export it as "COCO"'),
        ({"images": []}, "a list of images without annotations; give the file"),
        ([{"image": "a.jpg", "annotations": []}], "CreateML's JSON; export it in COCO's format"),
        ({"imgHeight": 1, "imgWidth": 1, "objects": []}, "Cityscapes' polygons; convert them"),
        ({"size": {}, "tags": [], "objects": []}, "Supervisely's JSON; export it"),
    ],
)
def test_json_of_other_kinds_is_called_by_its_name(tmp_path: Path, content: object, said: str):
    write_json(tmp_path / "annotations" / "export.json", content)
    write_image(tmp_path / "a.png", *SIZE)
    for given in (tmp_path, tmp_path / "annotations" / "export.json"):
        with pytest.raises(DatasetError) as error:
            open_dataset(given)
        assert str(error.value).startswith(f"{tmp_path / 'annotations' / 'export.json'}: {said}")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            ["data.yaml", "train/images/a.jpg", "train/labels/a.txt"],
            "looks like YOLO (labels in .txt files); convert it",
        ),
        (["images/a.jpg", "labels/a.txt"], "looks like YOLO"),
        (["a.tif", "a_masks.tif"], "looks like Cellpose's (NAME_masks beside NAME); put the images into images/"),
        (["JPEGImages/a.jpg", "SegmentationObject/a.png", "labelmap.txt"], "looks like masks in Pascal VOC's layout"),
        (["a.png", "a.csv"], "holds CSV (a.csv), which is not read; export JSON from VIA"),
        (["export.zip"], "holds archives (export.zip); unpack them"),
        (["a.png"], "in no known format: images without annotations"),
    ],
)
def test_folders_of_other_layouts_are_told_what_they_seem_to_be(tmp_path: Path, files: list[str], said: str):
    for name in files:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path / "data")
    assert str(error.value).startswith(f"{tmp_path / 'data'}: {said}")
    assert "\n" not in str(error.value)


def test_xml_files_of_an_unknown_layout(tmp_path: Path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.xml").write_text('<?xml version="1.0"?><annotation><object/></annotation>')
    with pytest.raises(
        DatasetError, match=r"a\.xml looks like Pascal VOC, as labelImg writes it; put the XML files into"
    ):
        open_dataset(tmp_path)
    (tmp_path / "labels" / "a.xml").write_text("<annotations><image/></annotations>")
    with pytest.raises(DatasetError, match=r"a\.xml is CVAT's own XML, which is not read; export it in COCO's format"):
        open_dataset(tmp_path)


def test_files_that_are_no_json_are_called_by_their_name(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "export.json", "w") as archive:
        archive.writestr("a.json", "{}")
    for name, content in (
        ("lines.json", '{"id": 1}\n{"id": 2}\n'),
        ("a.csv", "a,b"),
        ("a.xml", "<annotation/>"),
        ("a.jpg", "x"),
    ):
        (tmp_path / name).write_text(content)
    for name, said in (
        ("export.json", "a ZIP archive; unpack it and give the folder"),
        ("lines.json", "JSON Lines, one document per line"),
        ("a.csv", "a CSV file, which is not read"),
        ("a.xml", "XML; give the folder of the data set"),
        ("a.jpg", "an image, not annotations"),
    ):
        with pytest.raises(DatasetError) as error:
            open_dataset(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: {said}")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError, match="pipe: is a named pipe; give a folder or a file"):
        open_dataset(tmp_path / "pipe")


def test_a_development_kit_of_voc_is_entered(tmp_path: Path):
    xml = "<annotation><object><name>cat</name><bndbox>{}</bndbox></object></annotation>"
    box = "".join(f"<{side}>{value}</{side}>" for side, value in (("xmin", 3), ("ymin", 4), ("xmax", 9), ("ymax", 8)))
    for year in ("VOC2007", "VOC2012"):
        kit = tmp_path / "data" / "VOCdevkit" / year
        (kit / "Annotations").mkdir(parents=True)
        (kit / "Annotations" / "a.xml").write_text(xml.format(box))
        write_image(kit / "JPEGImages" / "a.jpg", *SIZE)
        if year == "VOC2007":
            assert prepare(tmp_path / "data", tmp_path / "out").counts == {"train": 1}
            assert prepare(tmp_path / "data" / "VOCdevkit", tmp_path / "out").counts == {"train": 1}
    with pytest.raises(DatasetError, match=r"holds several data sets, \S+VOC2007, \S+VOC2012; give one of them"):
        open_dataset(tmp_path / "data")


def test_splits_are_named_for_an_only_file(tmp_path: Path):
    write_json(tmp_path / "data" / "result.json", coco("a.jpg"))
    write_image(tmp_path / "data" / "a.jpg", *SIZE)
    assert [split.name for split in open_dataset(tmp_path / "data", ReadOptions(("holiday",))).splits] == ["holiday"]
    (tmp_path / "data" / "other_result.json").write_text(json.dumps(coco("a.jpg")))
    assert [split.name for split in open_dataset(tmp_path / "data").splits] == ["other_result", "result"]
