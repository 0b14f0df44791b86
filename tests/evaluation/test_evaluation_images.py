"""Every figure of a detection finds its way back to the original image."""

import jax
import numpy as np
import pytest
from coco_examples import CATEGORIES, annotation, detections, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reference_rle

from maskrcnn_jax.evaluation.coco import CocoEvaluator
from maskrcnn_jax.masks.paste import Crop, paste_mask, snap
from maskrcnn_jax.prediction.coco_results import encode_crop, image_results
from maskrcnn_jax.structs import ImageRecord

# pycocotools.mask.decode, under NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def first(batch):
    return jax.tree.map(lambda field: field[0], batch)


def test_boxes_go_back_to_original_pixels():
    # Network pixels are 2 × (x) and 4 × (y) original ones; the image is 50 wide and 40 high.
    # (20, 40, 60, 80) → x 10…30, y 10…20: (10, 10, 20 wide, 10 high).
    # (80, 120, 120, 200) → x 40…60, y 30…50, clipped to 40…50, 30…40: (40, 30, 10, 10).
    # (104, 0, 120, 40) → x 52…60: right of the image, dropped. The last slot is padding.
    batch = detections(
        [[20, 40, 60, 80], [80, 120, 120, 200], [104, 0, 120, 40], [20, 40, 60, 80]],
        labels=[1, 0, 0, 0],
        scores=[0.75, 0.5, 0.25, 0.125],
        valid=[True, True, True, False],
    )
    record = ImageRecord(image_id=7, height=40, width=50, scale=(2.0, 4.0))
    results = image_results(first(batch), record, (2, 17), masks=False)
    assert results == [
        {"image_id": 7, "category_id": 17, "bbox": [10, 10, 20, 10], "score": 0.75},
        {"image_id": 7, "category_id": 2, "bbox": [40, 30, 10, 10], "score": 0.5},
    ]


def test_masks_go_back_to_original_pixels():
    # Left half of the box set: x 10…20 of 10…30, y 10…20. 28 cells over 20 pixels, the 14th cell ends at x = 20.
    mask = np.zeros((1, 28, 28), np.float32)
    mask[:, :, :14] = 1
    batch = detections([[20, 40, 60, 80]], masks=mask)
    record = ImageRecord(image_id=7, height=40, width=50, scale=(2.0, 4.0))
    (result,) = image_results(first(batch), record, (2,), masks=True)
    expected = np.zeros((40, 50), bool)
    expected[10:20, 10:20] = True
    np.testing.assert_array_equal(reference_rle.decode(result["segmentation"]), expected)


@pytest.mark.parametrize("rule", ["exact", "outward", "rounded"])
def test_masks_are_pasted_by_the_rule(rule):
    ground_truth = {"images": [{"id": 7, "height": 40, "width": 50}], "annotations": [], "categories": CATEGORIES}
    evaluator = CocoEvaluator(ground_truth, (2,), masks=True, paste=rule)
    box = [10.4, 20.6, 25.7, 33.3]
    evaluator.add(detections([np.multiply(box, 2)]), [ImageRecord(7, 40, 50, (2.0, 2.0))])
    (result,) = evaluator.results()
    np.testing.assert_allclose(result["bbox"], [10.4, 20.6, 15.3, 12.7], atol=1e-5)
    place = snap(np.array([box], np.float32), 28, rule)[0]
    expected = paste_mask(np.ones((28, 28), np.float32), place, 40, 50)
    np.testing.assert_array_equal(reference_rle.decode(result["segmentation"]), expected)


@settings(max_examples=100, deadline=None)
@given(
    image=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    start=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    size=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    seed=st.integers(0, 2**16),
    density=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_run_length_code_is_pycocotools(image, start, size, seed, density):
    (height, width), (y, x) = image, np.minimum(start, image)
    tall, wide = min(size[0], height - y), min(size[1], width - x)
    mask = np.random.default_rng(seed).random((tall, wide)) < density
    full = np.zeros((height, width), bool)
    full[y : y + tall, x : x + wide] = mask
    assert encode_crop(Crop(mask, int(y), int(x)), height, width) == encode(full)


def test_soft_28_by_28_crops_of_the_truth_score_high():
    """The mask head's resolution is enough for big shapes."""
    rng = np.random.default_rng(3)
    images, annotations, batches = [], [], []
    for image_id in range(6):
        images.append({"id": image_id, "height": 240, "width": 320})
        y, x = np.mgrid[:240, :320]
        radii, centre = rng.uniform(40, 90, 2), rng.uniform(100, 140, 2)
        mask = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
        annotations.append(annotation(image_id + 1, image_id, 2, mask))
        x0, y0, wide, high = annotations[-1]["bbox"]
        # Each cell's share of set pixels, from 8 × 8 samples in it.
        steps = (np.arange(28 * 8) + 0.5) / (28 * 8)
        samples = mask[np.ix_((y0 + steps * high).astype(int), (x0 + steps * wide).astype(int))]
        soft = samples.reshape(28, 8, 28, 8).mean((1, 3)).astype(np.float32)
        batches.append(detections([[x0, y0, x0 + wide, y0 + high]], masks=soft[None]))
    truth = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    evaluator = CocoEvaluator(truth, (2, 5), masks=True)
    for image_id, batch in enumerate(batches):
        evaluator.add(batch, [ImageRecord(image_id, 240, 320, (1.0, 1.0))])
    metrics = evaluator.evaluate()
    assert metrics["bbox/AP"] == pytest.approx(1.0)
    assert metrics["segm/AP"] >= 0.9
