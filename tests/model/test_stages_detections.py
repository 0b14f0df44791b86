"""Pairs of an RoI and a class, and the detections among them, by hand and compared with loops in NumPy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from small import boxes_at, jit

from maskrcnn_jax.config import DetectConfig
from maskrcnn_jax.model import stages
from maskrcnn_jax.structs import BoxOutput, Rois

ONES = (1.0, 1.0, 1.0, 1.0)
IMAGE = jnp.array([0.0, 0.0, 120.0, 100.0])
"""An image 100 high and 120 wide."""

# Jitted: eagerly, each operation would be compiled for each shape.
pairs_of = jit(stages.select_class_candidates, static_argnames=("box_weights", "max_log_scale", "config"))


def rois_of(boxes, valid=None) -> Rois:
    count = len(boxes)
    nobody = jnp.full(count, 2)
    return Rois(boxes, jnp.ones(count, bool) if valid is None else jnp.asarray(valid), nobody, jnp.zeros_like(nobody))


def detect(boxes, probabilities, deltas=None, valid=None, **config):
    """Detections of rois with given class probabilities, background last."""
    classes = np.shape(probabilities)[1] - 1
    deltas = jnp.zeros((len(boxes), classes, 4)) if deltas is None else jnp.asarray(deltas)
    box = BoxOutput(jnp.log(jnp.asarray(probabilities, jnp.float32)), deltas)
    defaults = DetectConfig(count=4)
    config = dataclasses.replace(defaults, **config)
    return stages.select_detections(pairs_of(rois_of(boxes, valid), box, IMAGE, ONES, None, config), config.count)


def found(detections) -> list[tuple[float, int, float]]:
    """Left edge, label and score of each detection; checks that the other slots are empty."""
    valid = np.asarray(detections.valid)
    for field in detections[:3]:
        assert not np.any(np.asarray(field)[~valid])
    entries = zip(detections.boxes[:, 0], detections.labels, detections.scores, strict=True)
    return [(float(x), int(label), round(float(s), 4)) for (x, label, s), v in zip(entries, valid, strict=True) if v]


def test_threshold_is_strict():
    # Probabilities of powers of two are exact. 0.25 does not exceed the threshold of 0.25.
    result = detect(boxes_at(0, 30), [[0.5, 0.25, 0.25], [0.25, 0.125, 0.625]], score_threshold=0.25)
    assert found(result) == [(0, 0, 0.5)]


def test_suppression_within_a_class_only():
    # All three rois overlap. Class 0: 0.6 beats 0.3; class 1 is found at the same location.
    probabilities = [[0.3, 0.1, 0.6], [0.6, 0.1, 0.3], [0.02, 0.9, 0.08]]
    result = detect(boxes_at(0, 1, 2), probabilities, score_threshold=0.2)
    assert found(result) == [(2, 1, 0.9), (1, 0, 0.6)]


def test_one_roi_may_be_several_objects():
    assert found(detect(boxes_at(7), [[0.4, 0.5, 0.1]])) == [(7, 1, 0.5), (7, 0, 0.4)]


def test_only_the_most_likely_class_of_a_roi():
    # The second roi's most likely class is background; so is the third's, by a tie that the class wins.
    probabilities = [[0.4, 0.5, 0.1], [0.4, 0.1, 0.5], [0.5, 0.0, 0.5]]
    result = detect(boxes_at(0, 20, 40), probabilities, best_class_only=True)
    assert found(result) == [(0, 1, 0.5), (40, 0, 0.5)]


def test_count_and_candidates_are_capped():
    probabilities = [[p, 0.0, 1 - p] for p in (0.5, 0.9, 0.6, 0.8, 0.7)]
    boxes = boxes_at(0, 20, 40, 60, 80)
    assert found(detect(boxes, probabilities, count=3)) == [(20, 0, 0.9), (60, 0, 0.8), (80, 0, 0.7)]
    assert found(detect(boxes, probabilities, top_k=2)) == [(20, 0, 0.9), (60, 0, 0.8)]


def test_padding_is_never_detected():
    result = detect(boxes_at(0, 20), [[0.9, 0.0, 0.1], [0.5, 0.0, 0.5]], valid=[False, True])
    assert found(result) == [(20, 0, 0.5)]
    assert found(detect(boxes_at(0), [[0.9, 0.0, 0.1]], valid=[False])) == []


def test_each_class_has_its_own_box_clipped_to_the_image():
    # Class 1 shifts the RoI by 11.5 widths to 115 … 125; the image ends at 120.
    deltas = np.zeros((1, 2, 4))
    deltas[0, 1, 0] = 11.5
    result = detect(boxes_at(0), [[0.4, 0.5, 0.1]], deltas)
    assert found(result) == [(115, 1, 0.5), (0, 0, 0.4)]
    np.testing.assert_allclose(result.boxes[0], [115, 0, 120, 10])


def test_empty_and_broken_boxes_are_not_detected():
    # The first is shifted out of the image, the second is NaN, the third is 10 wide.
    deltas = np.zeros((3, 1, 4))
    deltas[0, 0, 0], deltas[1, 0, 1] = 50, np.nan
    result = detect(boxes_at(0, 20, 40), [[0.9, 0.1]] * 3, deltas)
    assert found(result) == [(40, 0, 0.9)]
    assert found(detect(boxes_at(0), [[0.9, 0.1]], min_size=10.0)) == []


def test_pairs_are_the_input_of_suppression():
    # Best first: the third roi as class 1, the second and the first as class 0; the first overlaps the better second.
    # The first roi as class 1 lies below the threshold, the others' remaining pairs, too.
    box = BoxOutput(jnp.log(jnp.array([[0.3, 0.1, 0.6], [0.6, 0.1, 0.3], [0.02, 0.9, 0.08]])), jnp.zeros((3, 2, 4)))
    pairs = pairs_of(rois_of(boxes_at(0, 1, 40)), box, IMAGE, ONES, None, DetectConfig(score_threshold=0.2, top_k=4))
    np.testing.assert_array_equal(pairs.valid, [True, True, True, False])
    np.testing.assert_array_equal(pairs.keep, [True, True, False, False])
    np.testing.assert_array_equal(pairs.roi_index[:3], [2, 1, 0])
    np.testing.assert_array_equal(pairs.labels[:3], [1, 0, 0])
    np.testing.assert_allclose(pairs.scores, [0.9, 0.6, 0.3, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(pairs.boxes[:, 0], [40, 1, 0, 0])


def define_detect(rois, valid, logits, deltas, config: DetectConfig):
    """Class by class, box by box: threshold, clip, greedy suppression, the best of all."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = exp / exp.sum(axis=1, keepdims=True)
    edges = np.tile(np.asarray(IMAGE[2:]), 2)
    kept = []
    for label in range(deltas.shape[1]):
        chosen: list[tuple[float, int, np.ndarray]] = []
        for i in np.argsort(-scores[:, label], kind="stable"):
            if not valid[i] or scores[i, label] <= config.score_threshold:
                continue
            side = rois[i, 2:] - rois[i, :2]
            centre = (rois[i, :2] + rois[i, 2:]) / 2 + deltas[i, label, :2] * side
            half = np.exp(deltas[i, label, 2:]) * side / 2
            box = np.clip(np.concatenate([centre - half, centre + half]), 0, edges)
            if np.all(box[2:] > box[:2]) and all(iou(box, other) <= config.nms_iou for _, _, other in chosen):
                chosen.append((scores[i, label], label, box))
        kept += chosen
    return sorted(kept, key=lambda row: -row[0])[: config.count]


def iou(a, b):
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    shared = sides.prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


@pytest.mark.parametrize("seed", range(4))
def test_random_detections_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 90, (40, 2))
    rois = np.concatenate([corner, corner + rng.uniform(10, 50, (40, 2))], axis=1).astype(np.float32)
    valid, logits = rng.random(40) < 0.8, rng.normal(0, 2, (40, 5)).astype(np.float32)
    deltas = rng.normal(0, 0.2, (40, 4, 4)).astype(np.float32)
    config = DetectConfig(score_threshold=0.1, nms_iou=0.4, count=30, top_k=160)
    expected = define_detect(rois, valid, logits, deltas, config)
    pairs = pairs_of(rois_of(jnp.asarray(rois), valid), BoxOutput(logits, deltas), IMAGE, ONES, None, config)
    result = stages.select_detections(pairs, config.count)
    assert 10 < len(expected) == int(result.valid.sum())
    count = len(expected)
    np.testing.assert_allclose(result.scores[:count], [row[0] for row in expected], rtol=1e-5)
    np.testing.assert_array_equal(result.labels[:count], [row[1] for row in expected])
    np.testing.assert_allclose(result.boxes[:count], [row[2] for row in expected], atol=1e-3)
