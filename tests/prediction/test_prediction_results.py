"""COCO's own tools read what is written."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.prediction.results_writer import ResultsWriter, results
from maskrcnn_jax.structs import Detections

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def found(count: int, masks: bool = True) -> Detections:
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 20, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(3, 9, (count, 2))], axis=1).astype(np.float32)
    patches = [(Patch(np.ones((28, 28), np.float32), box, (0, 0, 32, 30)),) for box in boxes]
    return Detections(
        boxes,
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(count, dtype=np.int32) % 2,
        np.ones(count, bool),
        Crops(patches) if masks else None,
    )


def test_pycocotools_reads_both_files(tmp_path: Path):
    with ResultsWriter(tmp_path, ("cat", "dog"), 2) as writer:
        writer.add("a.jpg", (30, 32), found(3))
        writer.add("b.jpg", (30, 32), found(0))
        writer.add("clip.mp4", (30, 32), found(2), frame=7, tracks=[4, 1])
    truth = COCO(tmp_path / "images.json")
    read = truth.loadRes(str(tmp_path / "detections.json"))
    assert truth.loadCats([1, 2]) == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert [image.get("frame") for image in truth.loadImgs([1, 2, 3])] == [None, None, 7]
    assert [image["file_name"] for image in truth.loadImgs([1, 2, 3])] == ["a.jpg", "b.jpg", "clip.mp4"]
    assert [len(read.getAnnIds(imgIds=[i])) for i in (1, 2, 3)] == [3, 0, 2]
    first = read.loadAnns(read.getAnnIds(imgIds=[1]))
    for annotation, crop, box in zip(first, found(3).masks, found(3).boxes, strict=True):
        tall, wide = crop.mask.shape
        mask = read.annToMask(annotation)
        assert mask.shape == (30, 32) and mask.sum() == crop.mask.sum()
        np.testing.assert_array_equal(mask[crop.y : crop.y + tall, crop.x : crop.x + wide], crop.mask)
        np.testing.assert_allclose(annotation["bbox"], [*box[:2], *(box[2:] - box[:2])], atol=1e-5)
    assert [annotation["category_id"] for annotation in first] == [1, 2, 1]
    assert [annotation["track_id"] for annotation in read.loadAnns(read.getAnnIds(imgIds=[3]))] == [4, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detections.json", "images.json"]


def test_two_processes_that_write_to_one_folder_do_not_mix(tmp_path: Path):
    """The files of the one that ends last remain, both of them."""
    with ResultsWriter(tmp_path, ("cat",), 1) as first:
        first.add("a.jpg", (30, 32), found(1))
        with ResultsWriter(tmp_path, ("cat",), 1) as second:
            second.add("b.jpg", (30, 32), found(2))
            second.add("c.jpg", (30, 32), found(0))
        assert len(json.loads((tmp_path / "detections.json").read_text())) == 2
    assert len(json.loads((tmp_path / "detections.json").read_text())) == 1
    assert [image["file_name"] for image in json.loads((tmp_path / "images.json").read_text())["images"]] == ["a.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detections.json", "images.json"]


def test_whole_masks_and_no_masks():
    detections = found(2)
    whole = np.zeros((2, 30, 32), bool)
    for mask, crop in zip(whole, detections.masks, strict=True):
        mask[crop.y : crop.y + crop.mask.shape[0], crop.x : crop.x + crop.mask.shape[1]] = crop.mask
    assert results(detections._replace(masks=whole), 1, (30, 32)) == results(detections, 1, (30, 32))
    assert all("segmentation" not in result for result in results(found(2, masks=False), 1, (30, 32)))


def test_nothing_found_is_an_empty_list(tmp_path: Path):
    with ResultsWriter(tmp_path, (), 2) as writer:
        writer.add("a.jpg", (3, 4), found(0))
    assert json.loads((tmp_path / "detections.json").read_text()) == []
    assert json.loads((tmp_path / "images.json").read_text()) == {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 3, "width": 4}],
        "annotations": [],
        "categories": [{"id": 1, "name": "0"}, {"id": 2, "name": "1"}],
    }


def test_without_an_image_nothing_is_written(tmp_path: Path):
    with ResultsWriter(tmp_path, (), 2):
        pass
    assert [*tmp_path.iterdir()] == []
    with ResultsWriter(tmp_path / "new", (), 2):
        pass
    assert not (tmp_path / "new").exists()
    with ResultsWriter(tmp_path / "new", (), 2):
        (tmp_path / "new" / "other.txt").write_text("of another program")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other.txt"]


def test_an_error_leaves_no_file_and_the_old_ones(tmp_path: Path):
    (tmp_path / "detections.json").write_text("old")
    with pytest.raises(KeyError), ResultsWriter(tmp_path, ("cat", "dog"), 2) as writer:
        writer.add("a.jpg", (30, 32), found(3))
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["detections.json"]
    assert (tmp_path / "detections.json").read_text() == "old"
