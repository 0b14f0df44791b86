"""The data pipeline on real COCO images."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as reference
import pytest
from pycocotools.coco import COCO

from maskrcnn_jax.config import CocoSource, DataConfig, Flip, Resize
from maskrcnn_jax.data import train_batches
from maskrcnn_jax.data.prepare.run import prepare
from maskrcnn_jax.data.transforms.geometry import place_objects
from maskrcnn_jax.data.transforms.placement import shortest_edge_placement

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own

COCO_MINI = Path(os.environ["MASKRCNN_COCO_MINI"])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "coco_mini"
    assert prepare(COCO_MINI, out).counts == {"train": 26, "val": 25}
    return out


@pytest.fixture(scope="module")
def official() -> COCO:
    return COCO(str(COCO_MINI / "annotations" / "instances_val2017.json"))


def test_masks_and_boxes_equal_pycocotools(prepared: Path, official: COCO):
    source = CocoSource(prepared, "val", keep_empty=True).open()
    assert len(source) == len(official.imgs) and len(source.class_names) == 80
    for example in map(source.__getitem__, range(len(source))):
        annotations = official.loadAnns(official.getAnnIds(example.image_id))
        assert len(annotations) == len(example.masks)
        for k, annotation in enumerate(annotations):
            np.testing.assert_array_equal(example.masks[k], official.annToMask(annotation))
            x, y, width, height = annotation["bbox"]
            np.testing.assert_allclose(example.boxes[k], [x, y, x + width, y + height], atol=1e-3)
            assert source.category_ids[example.labels[k]] == annotation["category_id"]
            assert example.is_crowd[k] == annotation["iscrowd"]


def test_coco_form_equals_the_annotation_file(prepared: Path, official: COCO):
    truth = CocoSource(prepared, "val", keep_empty=True).open().coco()
    assert len(truth["annotations"]) == len(official.anns)
    for ours in truth["annotations"]:
        theirs = official.anns[ours["id"]]
        assert ours["segmentation"]["counts"].encode() == official.annToRLE(theirs)["counts"]
        assert ours["area"] == pytest.approx(theirs["area"], rel=1e-6)
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-3)


@pytest.mark.parametrize("flip", [False, True])
def test_mask_crops_agree_with_masks_resized_whole(prepared: Path, flip: bool):
    """Over objects of more than 32 × 32 pixels; IoU of each crop, put back, with the whole mask resized to 800."""
    source = CocoSource(prepared, "val").open()
    overlaps = []
    for example in map(source.__getitem__, range(0, len(source), 3)):
        placement = shortest_edge_placement(example.image.shape[:2], 800, 1333, flip)
        truth = place_objects(example, placement, len(example.masks), 112)
        for k, mask in enumerate(example.masks):
            if mask.sum() < 32**2:
                continue
            whole = cv2.resize(mask.astype(np.float32), placement.window[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
            whole = whole[:, ::-1] if flip else whole
            x0, y0, x1, y1 = truth.boxes[k].astype(np.float64)
            x = ((np.arange(whole.shape[1]) + 0.5 - x0) / (x1 - x0) * 112 - 0.5).astype(np.float32)
            y = ((np.arange(whole.shape[0]) + 0.5 - y0) / (y1 - y0) * 112 - 0.5).astype(np.float32)
            grid = np.meshgrid(x, y)
            ours = cv2.remap(truth.masks[k].astype(np.float32), *grid, cv2.INTER_LINEAR, borderValue=0) >= 0.5
            overlaps.append((ours & whole).sum() / (ours | whole).sum())
    assert len(overlaps) > 20
    assert np.mean(overlaps) > 0.97 and np.min(overlaps) > 0.85


def test_no_object_with_pixels_loses_its_mask(prepared: Path):
    source = CocoSource(prepared, "train").open()
    for example in map(source.__getitem__, range(len(source))):
        placement = shortest_edge_placement(example.image.shape[:2], 400, 1333, flip=False)
        truth = place_objects(example, placement, len(example.masks), 112)
        assert truth.valid.all() and truth.masks.any(axis=(1, 2)).all()


def test_training_batches(prepared: Path):
    config = DataConfig(batch_size=2, threads=2, transforms=(Flip(), Resize((640, 800))))
    source = CocoSource(prepared, "train[:8]").open()
    batches = train_batches(source, config, seed=0, start_step=0)
    for _ in range(4):
        batch = next(batches)
        assert batch.images.shape[1:3] in config.buckets
        assert batch.ground_truth.valid.any(axis=1).all()
        boxes = batch.ground_truth.boxes
        assert (boxes[..., 2:] <= batch.image_sizes[:, None, ::-1] + 1e-2).all() and (boxes >= 0).all()
    batches.close()


def test_the_sample_has_the_features_of_the_official_files():
    # Polygons, crowds in run-length code, category ids with gaps.
    content = json.loads((COCO_MINI / "annotations" / "instances_train2017.json").read_text())
    kinds = {type(a["segmentation"]) for a in content["annotations"]}
    assert kinds == {list, dict}
    assert max(c["id"] for c in content["categories"]) == 90 and len(content["categories"]) == 80
    assert all(reference.area(reference.frPyObjects(a["segmentation"], *a["segmentation"]["size"])) > 0
               for a in content["annotations"] if a["iscrowd"])  # fmt: skip
