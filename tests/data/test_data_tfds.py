"""TFDS's `coco`, of the features that its own builder has, prepared by the test."""

import pickle
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import encode, make_image

from maskrcnn_jax.config import ConfigError, TFDSSource
from maskrcnn_jax.data import BrokenImage, ImageSource

SIZE = (20, 40)
THINGS, STUFF = [f"thing {i}" for i in range(80)], [f"stuff {i}" for i in range(53)]


def write(data_dir: Path, config: str, key: str, names: list[str], records: list[dict[str, Any]], kind: str) -> None:
    """A data set as `tensorflow_datasets/object_detection/coco.py` describes it."""
    folder = data_dir / "coco" / config / "1.1.0"
    folder.mkdir(parents=True)
    label = tfds.features.ClassLabel(num_classes=len(names))
    features = {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "image/filename": tfds.features.Text(),
        "image/id": np.int64,
        key: tfds.features.Sequence(
            {
                "id": np.int64,
                "area": np.int64,
                "bbox": tfds.features.BBoxFeature(),
                "label": label,
                "is_crowd": np.bool_,
            }
        ),
    }
    if key == "panoptic_objects":
        panoptic = {"panoptic_image": tfds.features.Image(encoding_format="png")}
        features |= panoptic | {"panoptic_image/filename": tfds.features.Text()}
    label.names = names
    identity = tfds.core.dataset_info.DatasetIdentity(
        name="coco", config_name=config, version=tfds.core.Version("1.1.0"), data_dir=str(folder), module_name=""
    )
    info = tfds.core.DatasetInfo(
        builder=identity, description="", features=tfds.features.FeaturesDict(features), disable_shuffling=True
    )
    writer = tfds.core.SequentialWriter(info, 2000, file_format=kind)
    writer.initialize_splits(["validation"])
    writer.add_examples({"validation": records})
    writer.close_all()


def thing(number: int, box: tuple[int, int, int, int], label: int, crowd: bool = False) -> dict[str, Any]:
    """An object as TFDS holds it; the box is given as (x0, y0, x1, y1) in pixels."""
    (x0, y0, x1, y1), (height, width) = box, SIZE
    bbox = tfds.features.BBox(ymin=y0 / height, xmin=x0 / width, ymax=y1 / height, xmax=x1 / width)
    return {"id": number, "area": (x1 - x0) * (y1 - y0), "bbox": bbox, "label": label, "is_crowd": crowd}


def row(number: int, **fields: Any) -> dict[str, Any]:
    image = encode(make_image(*SIZE, number), ".png")
    return {"image": image, "image/filename": f"{number:012d}.jpg", "image/id": number, **fields}


@pytest.fixture
def boxes(tmp_path: Path) -> TFDSSource:
    objects = [
        [thing(1, (4, 5, 14, 15), 2), thing(2, (0, 0, 40, 20), 0, crowd=True)],
        [],
        [thing(3, (0, 0, 8, 8), 1, crowd=True)],
        [thing(4, (30, 10, 40, 20), 1)],
    ]
    records = [row(10 * i, objects=inside) for i, inside in enumerate(objects, start=1)]
    write(tmp_path, "2017", "objects", ["cat", "dog", "owl"], records, "array_record")
    return TFDSSource("coco/2017", "validation", tmp_path)


def test_boxes_alone(boxes: TFDSSource):
    source = boxes.open()
    assert isinstance(source, ImageSource) and len(source) == 2 and not source.has_masks
    assert source.class_names == ("cat", "dog", "owl") and source.category_ids == (1, 2, 3)
    assert list(source.image_ids) == [10, 40] and source.file_names[1] == "000000000040.jpg"
    assert source.sizes.tolist() == [[20, 40]] * 2 and source.num_objects.tolist() == [2, 1]
    example = pickle.loads(pickle.dumps(source))[0]
    np.testing.assert_array_equal(example.image, make_image(*SIZE, 10))
    np.testing.assert_allclose(example.boxes, [[4, 5, 14, 15], [0, 0, 40, 20]], atol=1e-5)
    assert example.labels.tolist() == [2, 0] and example.is_crowd.tolist() == [False, True]
    # The pixels that the box touches; its edges are whole but for rounding.
    assert example.masks[0][5:15, 4:14].all() and 100 <= example.masks[0].sum() <= 144
    assert len(TFDSSource(boxes.name, boxes.split, boxes.data_dir, keep_empty=True).open()) == 4
    assert "tensorflow" not in sys.modules


def test_coco_form_of_boxes_has_no_segmentation(boxes: TFDSSource):
    truth = boxes.open().coco()
    first = truth["annotations"][0]
    assert (first["id"], first["image_id"], first["category_id"], first["area"]) == (1, 10, 3, 100)
    np.testing.assert_allclose(first["bbox"], [4, 5, 10, 10], atol=1e-5)
    assert all("segmentation" not in annotation for annotation in truth["annotations"])


A, B, WALL = 6202563, 197, 70000
"""Ids: A = 195 + 164 · 256 + 94 · 256², B = 197, the wall's = 112 + 17 · 256 + 1 · 256²."""


def panoptic(path: Path, things: list[dict[str, Any]]) -> TFDSSource:
    raster = np.zeros((*SIZE, 3), np.uint8)
    raster[:] = (112, 17, 1)
    raster[5:15, 4:14] = (195, 164, 94)
    raster[5:7, 4:6] = (197, 0, 0)
    file = cv2.imencode(".png", raster[..., ::-1])[1].tobytes()
    image = {"panoptic_image": file, "panoptic_image/filename": "a.png"}
    write(path, "2017_panoptic", "panoptic_objects", THINGS + STUFF, [
        row(10, **image, panoptic_objects=[*things, thing(WALL, (0, 0, 40, 20), 80)]),
        row(20, **image, panoptic_objects=[thing(WALL, (0, 0, 40, 20), 132)]),
    ], "array_record")  # fmt: skip
    return TFDSSource("coco/2017_panoptic", "validation", path)


def test_segments_of_things_are_the_objects(tmp_path: Path):
    source = panoptic(tmp_path, [thing(A, (4, 5, 14, 15), 3), thing(B, (4, 5, 6, 7), 79)]).open()
    assert source.has_masks and len(source) == 1 and source.class_names == tuple(THINGS)
    example = source[0]
    assert example.labels.tolist() == [3, 79]
    first, second = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    first[5:15, 4:14], first[5:7, 4:6], second[5:7, 4:6] = 1, 0, 1
    np.testing.assert_array_equal(example.masks, [first, second])
    annotation = source.coco()["annotations"][1]
    assert annotation["id"] == B and annotation["segmentation"]["size"] == [20, 40]


def test_a_segment_that_is_not_there_is_a_broken_image(tmp_path: Path):
    source = panoptic(tmp_path, [thing(5, (4, 5, 14, 15), 3)]).open()
    with pytest.raises(BrokenImage, match=r"panoptic image of image 10 .*: has no pixel of segment 5"):
        source[0]


def test_errors_say_how_to_prepare(boxes: TFDSSource, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"name = 'coco/2014': no such data set; .*tfds build coco/2014 --file_fo"):
        TFDSSource("coco/2014", "train", tmp_path).open()
    with pytest.raises(ConfigError, match=r"split = 'train': coco/2017 has validation \(4 images\)"):
        TFDSSource("coco/2017", "train", tmp_path).open()
    info = tmp_path / "coco" / "2017" / "1.1.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ConfigError, match=r"prepared as tfrecord, .* convert it, `tfds convert_format"):
        boxes.open()


def test_a_data_set_of_another_form_is_an_error(tmp_path: Path):
    write(tmp_path, "other", "things", ["cat"], [row(1, things=[])], "array_record")
    with pytest.raises(ConfigError, match=r"name = 'coco/other': must be of the form .* it has no objects"):
        TFDSSource("coco/other", "validation", tmp_path).open()
