"""Targets by hand: who is matched, and what the heads should have said."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import OBJECTS, truth

from maskrcnn_jax.config import MatchConfig
from maskrcnn_jax.model.stages import sample_anchors
from maskrcnn_jax.structs import GroundTruth, Rois
from maskrcnn_jax.training.targets import box_targets, mask_targets

ONES = (1.0, 1.0, 1.0, 1.0)
KEY = jax.random.key(0)
MATCH = MatchConfig(0.7, 0.3, low_quality=True, count=8, foreground_fraction=0.5)


def by_anchor(targets, count: int) -> list[str]:
    """What became of each anchor."""
    fate = ["not drawn"] * count
    for index, positive, valid in zip(targets.index, targets.positive, targets.valid, strict=True):
        if valid:
            fate[int(index)] = "positive" if positive else "negative"
    return fate


def test_anchors_get_the_deltas_to_their_own_best_object():
    ground_truth = truth(([0, 0, 20, 20], 0), ([0, 0, 20, 10], 1))
    anchors = jnp.array([[0, 0, 20, 18], [0, 0, 20, 10], [0, 0, 20, 13.0], [40, 40, 60, 60], [-30, 0, -10, 20]])
    # IoU with the first and second object: 0.9, 0.56 | 0.5, 1 | 0.65, 0.77 | 0, 0 | 0, 0 (outside, yet it takes part).
    targets = sample_anchors(KEY, anchors, ground_truth, MATCH, ONES)
    assert by_anchor(targets, 5) == ["positive", "positive", "positive", "negative", "negative"]
    deltas = dict(zip(targets.index[targets.valid].tolist(), targets.deltas[targets.valid], strict=True))
    # Heights 18 to 20, centres 9 to 10; the same; heights 13 to 10, centres 6.5 to 5.
    np.testing.assert_allclose(deltas[0], [0, 1 / 18, 0, math.log(20 / 18)], atol=1e-6)
    np.testing.assert_allclose(deltas[1], [0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(deltas[2], [0, -1.5 / 13, 0, math.log(10 / 13)], atol=1e-6)


def test_anchor_forced_on_an_object_keeps_its_own_best_as_target():
    # The second object's best anchor is the first's too: IoU 100/200 with the second, 200/220 with the first.
    ground_truth = truth(([0, 0, 20, 11], 0), ([0, 0, 10, 10], 1))
    targets = sample_anchors(KEY, jnp.array([[0, 0, 20, 10.0]]), ground_truth, MATCH, ONES)
    assert by_anchor(targets, 1) == ["positive"]
    # Centre 5 to 5.5, height 10 to 11.
    np.testing.assert_allclose(targets.deltas[0], [0, 0.05, 0, math.log(1.1)], atol=1e-6)


def test_low_quality_matches_only_where_asked_for():
    # IoU 100/400: the object's best anchor, yet below the background threshold.
    anchors = jnp.array([[0, 0, 20, 20.0], [40, 40, 50, 50]])
    ground_truth = truth(([0, 0, 10, 10], 0))
    assert by_anchor(sample_anchors(KEY, anchors, ground_truth, MATCH, ONES), 2) == ["positive", "negative"]
    strict = dataclasses.replace(MATCH, low_quality=False)
    assert by_anchor(sample_anchors(KEY, anchors, ground_truth, strict, ONES), 2) == ["negative", "negative"]
    # 0.3 ≤ IoU < 0.7 is ignored: 40/100.
    assert by_anchor(sample_anchors(KEY, jnp.array([[0, 0, 10, 4.0]]), ground_truth, strict, ONES), 1) == ["not drawn"]


def padding_with_boxes() -> GroundTruth:
    """No object, but boxes in the empty slots."""
    return truth()._replace(boxes=jnp.full((4, 4), 20.0).at[:, :2].set(0.0))


@pytest.mark.parametrize(
    "ground_truth",
    [
        truth(),
        padding_with_boxes(),
        truth(([0, 0, 20, 20], 0), crowd=True),
        truth(([5, 5, 5, 5], 0)),
        truth(([5, 5, 5, 30], 0)),
    ],
    ids=["empty", "padding", "crowd", "point", "line"],
)
def test_nothing_to_match(ground_truth):
    """Neither padding nor crowds nor objects without area make an anchor positive; all numbers stay finite."""
    anchors = jnp.array([[0, 0, 20, 20.0], [3, 3, 7, 7]])
    targets = sample_anchors(KEY, anchors, ground_truth, MATCH, ONES)
    assert by_anchor(targets, 2) == ["negative", "negative"]
    assert np.isfinite(targets.deltas).all()


def test_at_most_the_share_asked_for_is_positive():
    anchors = jnp.concatenate([jnp.tile(jnp.array([[0, 0, 20, 20.0]]), (9, 1)), jnp.full((9, 4), 50.0)])
    config = dataclasses.replace(MATCH, count=6, foreground_fraction=0.5)
    targets = sample_anchors(KEY, anchors, truth(([0, 0, 20, 20], 0)), config, ONES)
    fates = by_anchor(targets, 18)
    assert (fates.count("positive"), fates.count("negative")) == (3, 3)
    again = sample_anchors(KEY, anchors, truth(([0, 0, 20, 20], 0)), config, ONES)
    np.testing.assert_array_equal(targets.index, again.index)
    other = sample_anchors(jax.random.key(1), anchors, truth(([0, 0, 20, 20], 0)), config, ONES)
    assert set(other.index.tolist()) != set(targets.index.tolist())


def test_slots_without_anchor_are_empty():
    """Eight slots are asked for, which is what the normaliser "count" of the losses divides by."""
    targets = sample_anchors(KEY, jnp.array([[0, 0, 20, 20.0], [40, 40, 50, 50]]), truth(OBJECTS[0]), MATCH, ONES)
    assert targets.valid.tolist() == [True, True] + [False] * 6
    assert not targets.positive[2:].any() and not targets.deltas[2:].any() and not targets.index[2:].any()


def rois(boxes, matched) -> Rois:
    boxes, matched = jnp.asarray(boxes, jnp.float32), jnp.asarray(matched)
    return Rois(boxes, jnp.ones(len(boxes), bool), jnp.zeros_like(matched), matched)


def test_box_targets():
    ground_truth = truth(([0, 0, 10, 10], 0), ([10, 10, 30, 50], 1))
    found = box_targets(rois([[10, 10, 30, 30], [10, 10, 30, 50]], [1, 1]), ground_truth, (10.0, 10.0, 5.0, 5.0))
    # Centre (20, 20) to (20, 30) at side 20: 0.5 · 10; height 20 to 40: log 2 · 5. Then nothing to correct.
    np.testing.assert_allclose(found, [[0, 5, 0, 5 * math.log(2)], [0, 0, 0, 0]], atol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_mask_targets(binary):
    """The mask is the left half of the object's box (8, 36, 26, 60), that is x < 17."""
    ground_truth = truth(*OBJECTS[:2], OBJECTS[2])
    boxes = [
        [8, 36, 26, 60],  # the object's box: left half
        [8, 36, 17, 60],  # its left half: all
        [17, 36, 26, 60],  # its right half: none
        [8, 48, 26, 72],  # hangs out by half below: what lies outside is empty
        [40, 2, 62, 18],  # elsewhere
    ]
    left = np.tile([1.0, 1, 0, 0], (4, 1))
    expected = [left, np.ones((4, 4)), np.zeros((4, 4)), left * [[1], [1], [0], [0]], np.zeros((4, 4))]
    found = mask_targets(rois(boxes, [2] * 5), ground_truth, size=4, samples=4, aligned=True, binary=binary)
    if binary:
        np.testing.assert_array_equal(found, expected)
    else:
        # Soft targets differ only where a sample lies within a mask cell (18 / 16 pixels) of the mask's edge.
        np.testing.assert_allclose(found, expected, atol=0.25)
        assert np.any(np.asarray(found) % 1)


def test_mask_targets_of_half_covered_bins():
    # One bin per axis over x 12.5 … 26: the covered third becomes 0; over 8 … 20 the covered three quarters become 1.
    ground_truth = truth(OBJECTS[2])
    boxes = [[12.5, 36, 26, 60], [8, 36, 20, 60]]
    soft = mask_targets(rois(boxes, [0, 0]), ground_truth, size=1, samples=12, aligned=True, binary=False)
    np.testing.assert_allclose(np.ravel(soft), [4.5 / 13.5, 9 / 12], atol=0.02)
    hard = mask_targets(rois(boxes, [0, 0]), ground_truth, size=1, samples=12, aligned=True, binary=True)
    np.testing.assert_array_equal(np.ravel(hard), [0.0, 1.0])


def test_mask_targets_that_are_not_aligned_are_those_of_a_roi_half_a_pixel_further():
    ground_truth = truth(OBJECTS[2])
    further = [[8.5, 36.5, 26.5, 60.5]]
    found = mask_targets(rois([[8, 36, 26, 60]], [0]), ground_truth, size=6, samples=3, aligned=False, binary=False)
    expected = mask_targets(rois(further, [0]), ground_truth, size=6, samples=3, aligned=True, binary=False)
    np.testing.assert_array_equal(found, expected)


def test_mask_targets_over_the_whole_image():
    """With full-resolution masks the extent is the image; the target is the same region of it."""
    masks = jnp.zeros((4, 16, 16), jnp.uint8).at[0, 4:12, 8:16].set(1)  # pixels 16 … 48 by 32 … 64
    extent = jnp.tile(jnp.array([[0, 0, 64, 64.0]]), (4, 1))
    ground_truth = truth(([32, 16, 64, 48], 0))._replace(masks=masks, mask_extent=extent)
    found = mask_targets(
        rois([[0, 0, 64, 64], [32, 16, 64, 48]], [0, 0]), ground_truth, 4, 2, aligned=True, binary=True
    )
    whole = np.zeros((4, 4))
    whole[1:3, 2:] = 1
    np.testing.assert_array_equal(found, [whole, np.ones((4, 4))])
