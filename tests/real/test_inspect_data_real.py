"""The report on a data set of real photographs, compared with pycocotools."""

import os
from pathlib import Path

import jax
import numpy as np
import pycocotools.mask as reference
import pytest
from pycocotools.coco import COCO

from maskrcnn_jax.config import CocoSource, Config
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.data import CocoInstances
from maskrcnn_jax.data.prepare.run import prepare
from maskrcnn_jax.inspect.choice import find_image
from maskrcnn_jax.inspect.data.anchor_targets import anchor_targets, build_pyramid, nearest
from maskrcnn_jax.inspect.data.inspected import bucket_of, training_sample
from maskrcnn_jax.inspect.data.numbers import mask_boxes, read_numbers
from maskrcnn_jax.inspect.data.roi_targets import random_proposals, roi_targets
from maskrcnn_jax.inspect.data.stored_steps import class_table
from maskrcnn_jax.inspect.data.training_steps import crop_overlaps, mask_crops
from maskrcnn_jax.ops.matching import Assignment

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own

COCO_MINI = Path(os.environ["MASKRCNN_COCO_MINI"])
CONFIG_FILE = Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_fpn_1x.py"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CocoInstances:
    out = tmp_path_factory.mktemp("prepared") / "coco_mini"
    prepare(COCO_MINI, out)
    opened = CocoSource(out, "val", keep_empty=True).open()
    assert isinstance(opened, CocoInstances)
    return opened


@pytest.fixture(scope="module")
def official() -> COCO:
    return COCO(str(COCO_MINI / "annotations" / "instances_val2017.json"))


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONFIG_FILE)


def test_boxes_and_areas_of_masks_equal_pycocotools(source: CocoInstances, official: COCO):
    for example in map(source.__getitem__, range(len(source))):
        annotations = official.loadAnns(official.getAnnIds(example.image_id))
        codes = [official.annToRLE(annotation) for annotation in annotations]
        theirs = np.array([reference.toBbox(code) for code in codes]).reshape(-1, 4)
        theirs[:, 2:] += theirs[:, :2]  # from width and height
        np.testing.assert_array_equal(mask_boxes(example), theirs)


def test_classes_are_counted_as_the_annotation_file_has_them(source: CocoInstances, official: COCO):
    numbers = read_numbers(source, range(len(source)), threads=2)
    assert not numbers.broken and len(numbers.images) == len(official.imgs)
    areas = [reference.area(official.annToRLE(a)) for image in numbers.images for a in _annotations(official, image)]
    np.testing.assert_array_equal(numbers.objects("mask_areas"), areas)
    for _, name, category, objects, _, crowds, images in class_table(numbers, source).entries:
        annotations = official.loadAnns(official.getAnnIds(catIds=[category]))
        assert objects == len(annotations), name
        assert crowds == sum(a["iscrowd"] for a in annotations)
        assert images == len(official.getImgIds(catIds=[category]))


def _annotations(official: COCO, image) -> list[dict]:
    return official.loadAnns(official.getAnnIds(image.image_id))


def test_an_image_is_found_by_its_number(source: CocoInstances, official: COCO):
    for image_id in list(official.imgs)[:5]:
        assert source[find_image(source, image_id)].image_id == image_id


def test_crops_lose_little(source: CocoInstances):
    """112 × 112 cells hold what an object of that size shows; the largest lose most."""
    overlaps = np.concatenate([crop_overlaps(source[n], mask_crops(source[n], 112)) for n in range(0, 25, 3)])
    assert overlaps.mean() > 0.98 and np.percentile(overlaps, 5) > 0.93


@pytest.mark.parametrize("position", [0, 4])
def test_decoded_targets_are_objects(source: CocoInstances, config: Config, position: int):
    bucket = bucket_of(source, position, config.data)
    sample = training_sample(source[position], config, bucket, seed=0)
    truth, pyramid = sample.ground_truth, build_pyramid(config, bucket)
    targets = anchor_targets(jax.random.key(0), pyramid.anchors, truth, config)
    positive = targets.which(Assignment.POSITIVE, sampled=False)
    objects = int((truth.valid & ~truth.is_crowd).sum())
    assert len(positive) >= objects > 0
    assert nearest(targets.refined[positive], truth)[1].max() < 1e-2  # of images of 1333 pixels, in float32
    assert len(targets.sampled) == 256
    window = np.array([0, 0, *sample.image_sizes[::-1]], np.float32)
    proposals = random_proposals(np.random.default_rng(0), truth, window)
    rois = roi_targets(jax.random.key(0), proposals, truth, config, len(source.class_names))
    matched = truth.boxes[rois.rois.matched_index[rois.foreground]]
    np.testing.assert_allclose(rois.refined[rois.foreground], matched, atol=1e-2)
    assert rois.masks is not None and rois.masks.shape[1:] == (28, 28)
