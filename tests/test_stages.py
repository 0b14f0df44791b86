"""The steps between the networks, by hand and against loops written in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import jit, truth

from maskrcnn_jax import stages
from maskrcnn_jax.config import DetectConfig, MatchConfig, PoolConfig, ProposalConfig
from maskrcnn_jax.structs import BoxOutput, Candidates, Proposals, Rois, RPNOutput

ONES = (1.0, 1.0, 1.0, 1.0)
PICTURE = jnp.array([0.0, 0.0, 120.0, 100.0])
"""A picture 100 high and 120 wide."""
KEY = jax.random.key(0)


# Compiled: op by op, each shape of each operation would be compiled singly.
candidates_of = jit(stages.choose_candidates, static_argnames=("level_counts", "top_k", "config", "nms"))
sample_rois = jit(stages.sample_rois, static_argnames=("num_classes", "config", "append_ground_truth"))
detections_of = jit(stages.detect, static_argnames=("box_weights", "max_log_scale", "config"))


def boxes_at(*lefts: float) -> jax.Array:
    """Boxes of 10 by 10 pixels with these left edges: a shift of 1 gives an IoU of 90 / 110, of 5 one of 1 / 3."""
    left = jnp.array(lefts, jnp.float32)
    return jnp.stack([left, jnp.zeros_like(left), left + 10, jnp.full_like(left, 10)], axis=1)


def choose_candidates(anchors, logits, counts, top_k, deltas=None, **config) -> Candidates:
    deltas = jnp.zeros((len(anchors), 4)) if deltas is None else deltas
    rpn = RPNOutput(jnp.asarray(logits), deltas)
    return candidates_of(rpn, anchors, PICTURE, level_counts=counts, top_k=top_k, config=ProposalConfig(**config))


def test_best_anchors_of_each_level():
    # Two levels of four and three anchors, of which each gives its best three.
    anchors = boxes_at(0, 20, 40, 60, 0, 20, 40)
    found = choose_candidates(anchors, [0.0, 3.0, -1.0, 2.0, -5.0, 9.0, -4.0], (4, 3), 3)
    np.testing.assert_array_equal(found.anchor_index, [1, 3, 0, 5, 6, 4])
    np.testing.assert_array_equal(found.level, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(found.boxes, anchors[found.anchor_index])
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-3.0, -2.0, 0.0, -9.0, 4.0, 5.0])), rtol=1e-6)
    assert found.valid.all() and found.keep.all()


def test_levels_of_fewer_anchors_than_asked_for():
    found = choose_candidates(boxes_at(0, 20, 40), [1.0, 2.0, 3.0], (2, 1), 5)
    np.testing.assert_array_equal(found.anchor_index, [1, 0, 2])
    np.testing.assert_array_equal(found.level, [0, 0, 1])


def test_suppression_within_a_level_only():
    # On level 0 the second and third overlap by 90/110 and the better stays; the equal box of level 1 stays, too.
    found = choose_candidates(boxes_at(0, 40, 41, 41), [3.0, 1.0, 2.0, 0.0], (3, 1), 3, nms_iou=0.7)
    np.testing.assert_array_equal(found.anchor_index, [0, 2, 1, 3])
    np.testing.assert_array_equal(found.keep, [True, True, False, True])


def test_decoded_before_and_after_clipping():
    # dx = 1 moves by a width, dh = log 2 doubles the height; the picture is 100 high and 120 wide.
    deltas = jnp.array([[1.0, 0, 0, np.log(2.0)], [0.5, 0, 0, 0]])
    anchors = jnp.array([[0, 0, 10, 20.0], [112, 30, 122, 40]])
    found = choose_candidates(anchors, [1.0, 0.0], (2,), 2, deltas)
    np.testing.assert_allclose(found.decoded, [[10, -10, 20, 30], [117, 30, 127, 40]], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [[10, 0, 20, 30], [117, 30, 120, 40]], atol=1e-5)


def test_small_and_broken_candidates_are_dropped():
    anchors = jnp.array([[0, 0, 10, 10.0], [20, 0, 22, 30], [200, 0, 210, 10], [50, 50, 60, 60]])
    deltas = jnp.zeros((4, 4)).at[3, 0].set(jnp.nan)
    # The second is 2 pixels wide, the third lies outside, the fourth is no number.
    found = choose_candidates(anchors, [0.0, 1.0, 2.0, 3.0], (4,), 4, deltas, min_size=2.0)
    np.testing.assert_array_equal(found.anchor_index, [3, 2, 1, 0])
    np.testing.assert_array_equal(found.valid, [False, False, False, True])
    np.testing.assert_array_equal(found.keep, found.valid)
    assert np.isfinite(found.boxes).all()


def test_all_levels_together():
    # Scores 9 and 3 and 2 are the best three of both levels; the box at 20 on the second beats its equal on the first.
    anchors = boxes_at(0, 20, 40, 60, 0, 20, 40)
    found = choose_candidates(anchors, [0.0, 3.0, -1.0, 2.0, -5.0, 9.0, -4.0], (4, 3), 3, joint=True)
    np.testing.assert_array_equal(found.anchor_index, [5, 1, 3])
    np.testing.assert_array_equal(found.level, [1, 0, 0])
    np.testing.assert_array_equal(found.keep, [True, False, True])


def test_no_smallest_size():
    # Clipped to nothing at the right edge, and still a candidate, as Matterport has it; what is no number is not.
    deltas = jnp.zeros((2, 4)).at[1, 0].set(jnp.nan)
    found = choose_candidates(boxes_at(200, 20), [0.0, 1.0], (2,), 2, deltas, min_size=None)
    np.testing.assert_array_equal(found.boxes[1], [120, 0, 120, 10])
    np.testing.assert_array_equal(found.valid, [False, True])


def test_no_gradient_through_candidates():
    def total(logits, deltas):
        rpn = RPNOutput(logits, deltas)
        found = stages.choose_candidates(rpn, boxes_at(0, 20), PICTURE, (2,), 2, ProposalConfig())
        return found.boxes.sum() + found.scores.sum()

    for gradient in jax.grad(total, argnums=(0, 1))(jnp.zeros(2), jnp.zeros((2, 4))):
        assert not gradient.any()


def test_another_suppression():
    rpn = RPNOutput(jnp.array([1.0, 2.0]), jnp.zeros((2, 4)))
    found = stages.choose_candidates(
        rpn,
        boxes_at(0, 20),
        PICTURE,
        (2,),
        2,
        ProposalConfig(),
        nms=lambda boxes, valid, iou: valid & (boxes[:, 0] > 10),
    )
    np.testing.assert_array_equal(found.keep, [True, False])


def candidates(scores, keep) -> Candidates:
    count = len(scores)
    index = jnp.arange(count)
    boxes = boxes_at(*range(0, 20 * count, 20))
    return Candidates(index, boxes, boxes, jnp.asarray(scores), index, jnp.ones(count, bool), jnp.asarray(keep))


def test_best_proposals_over_all_levels():
    found = stages.choose_proposals(candidates([0.2, 0.9, 0.5, 0.7], [True, True, True, False]), 2)
    np.testing.assert_array_equal(found.boxes, boxes_at(20, 40))
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.valid.all()


def test_fewer_proposals_than_slots():
    found = stages.choose_proposals(candidates([0.2, 0.0, 0.5], [False, True, False]), 3)
    np.testing.assert_array_equal(found.valid, [True, False, False])
    np.testing.assert_array_equal(found.boxes, np.concatenate([boxes_at(20), np.zeros((2, 4))]))
    np.testing.assert_array_equal(found.scores, np.zeros(3))
    assert stages.choose_proposals(candidates([0.2], [True]), 5).boxes.shape == (1, 4)


MATCH = MatchConfig(0.5, 0.5, low_quality=False, count=6, foreground_fraction=0.5)


def proposals(*lefts: float, empty: int = 0) -> Proposals:
    boxes = jnp.concatenate([boxes_at(*lefts), jnp.zeros((empty, 4))])
    valid = jnp.arange(len(boxes)) < len(lefts)
    return Proposals(boxes, valid.astype(jnp.float32), valid)


def by_left_edge(rois: Rois) -> dict[float, tuple[int, int]]:
    """Left edge → label and matched slot of each roi that is there."""
    rows = zip(rois.boxes[:, 0].tolist(), rois.labels.tolist(), rois.matched_index.tolist(), strict=True)
    return {x: (label, slot) for (x, label, slot), valid in zip(rows, rois.valid, strict=True) if valid}


TWO = truth(([0, 0, 10, 10], 2), ([40, 0, 50, 10], 1))


def test_labels_of_sampled_rois():
    # IoU with the nearest object: 90/110, 60/140, 80/120, 0; then two empty slots.
    found = sample_rois(KEY, proposals(1, 4, 42, 70, empty=2), TWO, 3, MATCH, append_ground_truth=False)
    rois = by_left_edge(found)
    assert rois.keys() == {1, 4, 42, 70}
    assert (rois[1], rois[42]) == ((2, 0), (1, 1))
    assert (rois[4][0], rois[70][0]) == (3, 3)
    # Foreground first, empty slots last.
    np.testing.assert_array_equal(found.labels < 3, [True, True, False, False, False, False])
    np.testing.assert_array_equal(found.valid, [True] * 4 + [False] * 2)


def test_objects_take_part_where_asked_for():
    found = sample_rois(KEY, proposals(70, 90), TWO, 3, MATCH, append_ground_truth=True)
    assert by_left_edge(found) == {0: (2, 0), 40: (1, 1)} | {x: (3, 0) for x in (70, 90)}


def test_foreground_and_count_are_bounded():
    many = proposals(*np.linspace(0, 2, 20), *np.linspace(60, 100, 20))
    found = sample_rois(KEY, many, TWO, 3, MATCH, append_ground_truth=True)
    assert found.labels.shape == (6,) and found.valid.all()
    assert int(np.sum(found.labels < 3)) == 3  # half of six
    scarce = sample_rois(KEY, proposals(*range(60, 80)), TWO, 3, MATCH, append_ground_truth=False)
    assert scarce.valid.all() and np.all(scarce.labels == 3)  # background fills up


@pytest.mark.parametrize("ground_truth", [truth(), truth(([0, 0, 10, 10], 0), crowd=True)], ids=["empty", "crowd"])
def test_image_without_objects_has_background_only(ground_truth):
    found = sample_rois(KEY, proposals(0, 20, 40), ground_truth, 3, MATCH, append_ground_truth=True)
    assert by_left_edge(found) == {x: (3, 0) for x in (0, 20, 40)}


def test_empty_slots_of_ground_truth_are_not_appended():
    padded = truth(([0, 0, 10, 10], 0))
    padded = padded._replace(boxes=padded.boxes.at[1:].set(jnp.array([30.0, 0, 40, 10])))
    found = sample_rois(KEY, proposals(70), padded, 3, MATCH, append_ground_truth=True)
    assert by_left_edge(found) == {0: (0, 0), 70: (3, 0)}


def test_pooling_takes_the_level_that_fits():
    """Each level is filled with its own number (Detectron2's test of the idea)."""
    sides = (64, 32, 16, 8)
    features = tuple(jnp.full((side, side, 2), float(i)) for i, side in enumerate(sides))
    # With 40 pixels for level P4: sides below 20 take P2, from 20 P3, from 40 P4, from 80 P5.
    config = PoolConfig(canonical_size=40.0)
    boxes = jnp.array([[8, 8, 27, 27.0], [8, 8, 28, 28], [8, 8, 48, 48], [8, 8, 88, 88], [50, 50, 50, 50]])
    pooled, level = stages.pool(features, boxes, (256, 256), 3, config)
    np.testing.assert_array_equal(level, [0, 1, 2, 3, 0])
    np.testing.assert_allclose(
        pooled, np.broadcast_to(np.reshape([0, 1, 2, 3, 0], (5, 1, 1, 1)), (5, 3, 3, 2)), rtol=1e-6
    )
    doubled, _ = stages.pool(
        features, boxes, (256, 256), 3, config, roi_align=lambda f, b, lv, *_: jnp.full((len(b), 3, 3, 2), 2.0)
    )
    assert np.all(doubled == 2)


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
    return detections_of(rois_of(boxes, valid), box, PICTURE, ONES, None, dataclasses.replace(defaults, **config))


def found(detections) -> list[tuple[float, int, float]]:
    """Left edge, label and score of what was found; checks that the rest is empty."""
    valid = np.asarray(detections.valid)
    for field in detections[:3]:
        assert not np.any(np.asarray(field)[~valid])
    rows = zip(detections.boxes[:, 0], detections.labels, detections.scores, strict=True)
    return [(float(x), int(label), round(float(s), 4)) for (x, label, s), v in zip(rows, valid, strict=True) if v]


def test_threshold_is_strict():
    # Probabilities of powers of two are exact. 0.25 does not exceed the threshold of 0.25.
    result = detect(boxes_at(0, 30), [[0.5, 0.25, 0.25], [0.25, 0.125, 0.625]], score_threshold=0.25)
    assert found(result) == [(0, 0, 0.5)]


def test_suppression_within_a_class_only():
    # All three rois overlap. Class 0: 0.6 beats 0.3; class 1 is found at the same place.
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


def test_each_class_has_its_own_box_clipped_to_the_picture():
    # Class 1 moves the roi by 11.5 widths to 115 … 125; the picture ends at 120.
    deltas = np.zeros((1, 2, 4))
    deltas[0, 1, 0] = 11.5
    result = detect(boxes_at(0), [[0.4, 0.5, 0.1]], deltas)
    assert found(result) == [(115, 1, 0.5), (0, 0, 0.4)]
    np.testing.assert_allclose(result.boxes[0], [115, 0, 120, 10])


def test_empty_and_broken_boxes_are_not_detected():
    # The first moves out of the picture, the second is no number, the third is 10 wide.
    deltas = np.zeros((3, 1, 4))
    deltas[0, 0, 0], deltas[1, 0, 1] = 50, np.nan
    result = detect(boxes_at(0, 20, 40), [[0.9, 0.1]] * 3, deltas)
    assert found(result) == [(40, 0, 0.9)]
    assert found(detect(boxes_at(0), [[0.9, 0.1]], min_size=10.0)) == []


def define_detect(rois, valid, logits, deltas, config: DetectConfig):
    """Class by class, box by box: threshold, clip, greedy suppression, the best of all."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = exp / exp.sum(axis=1, keepdims=True)
    edges = np.tile(np.asarray(PICTURE[2:]), 2)
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
    result = detections_of(rois_of(jnp.asarray(rois), valid), BoxOutput(logits, deltas), PICTURE, ONES, None, config)
    assert 10 < len(expected) == int(result.valid.sum())
    count = len(expected)
    np.testing.assert_allclose(result.scores[:count], [row[0] for row in expected], rtol=1e-5)
    np.testing.assert_array_equal(result.labels[:count], [row[1] for row in expected])
    np.testing.assert_allclose(result.boxes[:count], [row[2] for row in expected], atol=1e-3)


def test_masks_of_the_own_class():
    logits = jnp.stack([jnp.zeros((3, 2, 2)), jnp.full((3, 2, 2), np.log(3.0))], axis=-1)
    # Class 0 has probability 1/2, class 1 3/4; background (2) shows class 0.
    masks = stages.segment(logits, jnp.array([1, 0, 2]))
    np.testing.assert_allclose(masks, np.broadcast_to(np.reshape([0.75, 0.5, 0.5], (3, 1, 1)), (3, 2, 2)), rtol=1e-6)
