"""The stages between the networks, by hand and compared with loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import boxes_at, jit, truth

from maskrcnn_jax.config import MatchConfig, PoolConfig, ProposalConfig
from maskrcnn_jax.model import stages
from maskrcnn_jax.structs import Candidates, Proposals, Rois, RPNOutput

ONES = (1.0, 1.0, 1.0, 1.0)
IMAGE = jnp.array([0.0, 0.0, 120.0, 100.0])
"""An image 100 high and 120 wide."""
KEY = jax.random.key(0)


# Jitted: eagerly, each operation would be compiled for each shape.
candidates_of = jit(stages.select_candidates, static_argnames=("level_counts", "top_k", "config", "nms"))
sample_rois = jit(stages.sample_rois, static_argnames=("num_classes", "config", "append_ground_truth"))


def select_candidates(anchors, logits, counts, top_k, deltas=None, **config) -> Candidates:
    deltas = jnp.zeros((len(anchors), 4)) if deltas is None else deltas
    rpn = RPNOutput(jnp.asarray(logits), deltas)
    return candidates_of(rpn, anchors, IMAGE, level_counts=counts, top_k=top_k, config=ProposalConfig(**config))


def test_best_anchors_of_each_level():
    # Two levels of four and three anchors, of which each gives its best three.
    anchors = boxes_at(0, 20, 40, 60, 0, 20, 40)
    found = select_candidates(anchors, [0.0, 3.0, -1.0, 2.0, -5.0, 9.0, -4.0], (4, 3), 3)
    np.testing.assert_array_equal(found.anchor_index, [1, 3, 0, 5, 6, 4])
    np.testing.assert_array_equal(found.level, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(found.boxes, anchors[found.anchor_index])
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-3.0, -2.0, 0.0, -9.0, 4.0, 5.0])), rtol=1e-6)
    assert found.valid.all() and found.keep.all()


def test_levels_with_fewer_anchors_than_top_k():
    found = select_candidates(boxes_at(0, 20, 40), [1.0, 2.0, 3.0], (2, 1), 5)
    np.testing.assert_array_equal(found.anchor_index, [1, 0, 2])
    np.testing.assert_array_equal(found.level, [0, 0, 1])


def test_suppression_within_a_level_only():
    # On level 0 the second and third overlap by 90/110 and the better stays; the equal box of level 1 stays, too.
    found = select_candidates(boxes_at(0, 40, 41, 41), [3.0, 1.0, 2.0, 0.0], (3, 1), 3, nms_iou=0.7)
    np.testing.assert_array_equal(found.anchor_index, [0, 2, 1, 3])
    np.testing.assert_array_equal(found.keep, [True, True, False, True])


def test_decoded_before_and_after_clipping():
    # dx = 1 shifts by one width, dh = log 2 doubles the height; the image is 100 high and 120 wide.
    deltas = jnp.array([[1.0, 0, 0, np.log(2.0)], [0.5, 0, 0, 0]])
    anchors = jnp.array([[0, 0, 10, 20.0], [112, 30, 122, 40]])
    found = select_candidates(anchors, [1.0, 0.0], (2,), 2, deltas)
    np.testing.assert_allclose(found.decoded, [[10, -10, 20, 30], [117, 30, 127, 40]], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [[10, 0, 20, 30], [117, 30, 120, 40]], atol=1e-5)


def test_small_and_broken_candidates_are_dropped():
    anchors = jnp.array([[0, 0, 10, 10.0], [20, 0, 22, 30], [200, 0, 210, 10], [50, 50, 60, 60]])
    deltas = jnp.zeros((4, 4)).at[3, 0].set(jnp.nan)
    # The second is 2 pixels wide, the third lies outside, the fourth is NaN.
    found = select_candidates(anchors, [0.0, 1.0, 2.0, 3.0], (4,), 4, deltas, min_size=2.0)
    np.testing.assert_array_equal(found.anchor_index, [3, 2, 1, 0])
    np.testing.assert_array_equal(found.valid, [False, False, False, True])
    np.testing.assert_array_equal(found.keep, found.valid)
    assert np.isfinite(found.boxes).all()


def test_all_levels_together():
    # Scores 9 and 3 and 2 are the best three of both levels; the box at 20 on the second beats its equal on the first.
    anchors = boxes_at(0, 20, 40, 60, 0, 20, 40)
    found = select_candidates(anchors, [0.0, 3.0, -1.0, 2.0, -5.0, 9.0, -4.0], (4, 3), 3, joint=True)
    np.testing.assert_array_equal(found.anchor_index, [5, 1, 3])
    np.testing.assert_array_equal(found.level, [1, 0, 0])
    np.testing.assert_array_equal(found.keep, [True, False, True])


def test_no_smallest_size():
    # Clipped to nothing at the right edge, and still a candidate, as in Matterport; NaN is not.
    deltas = jnp.zeros((2, 4)).at[1, 0].set(jnp.nan)
    found = select_candidates(boxes_at(200, 20), [0.0, 1.0], (2,), 2, deltas, min_size=None)
    np.testing.assert_array_equal(found.boxes[1], [120, 0, 120, 10])
    np.testing.assert_array_equal(found.valid, [False, True])


def test_no_gradient_through_candidates():
    def total(logits, deltas):
        rpn = RPNOutput(logits, deltas)
        found = stages.select_candidates(rpn, boxes_at(0, 20), IMAGE, (2,), 2, ProposalConfig())
        return found.boxes.sum() + found.scores.sum()

    for gradient in jax.grad(total, argnums=(0, 1))(jnp.zeros(2), jnp.zeros((2, 4))):
        assert not gradient.any()


def test_suppression_can_be_replaced():
    rpn = RPNOutput(jnp.array([1.0, 2.0]), jnp.zeros((2, 4)))
    found = stages.select_candidates(
        rpn,
        boxes_at(0, 20),
        IMAGE,
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
    found = stages.select_proposals(candidates([0.2, 0.9, 0.5, 0.7], [True, True, True, False]), 2)
    np.testing.assert_array_equal(found.boxes, boxes_at(20, 40))
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.valid.all()


def test_fewer_proposals_than_slots():
    found = stages.select_proposals(candidates([0.2, 0.0, 0.5], [False, True, False]), 3)
    np.testing.assert_array_equal(found.valid, [True, False, False])
    np.testing.assert_array_equal(found.boxes, np.concatenate([boxes_at(20), np.zeros((2, 4))]))
    np.testing.assert_array_equal(found.scores, np.zeros(3))
    assert stages.select_proposals(candidates([0.2], [True]), 5).boxes.shape == (1, 4)


MATCH = MatchConfig(0.5, 0.5, low_quality=False, count=6, foreground_fraction=0.5)


def proposals(*lefts: float, empty: int = 0) -> Proposals:
    boxes = jnp.concatenate([boxes_at(*lefts), jnp.zeros((empty, 4))])
    valid = jnp.arange(len(boxes)) < len(lefts)
    return Proposals(boxes, valid.astype(jnp.float32), valid)


def by_left_edge(rois: Rois) -> dict[float, tuple[int, int]]:
    """Left edge → label and matched slot of each valid RoI."""
    entries = zip(rois.boxes[:, 0].tolist(), rois.labels.tolist(), rois.matched_index.tolist(), strict=True)
    return {x: (label, slot) for (x, label, slot), valid in zip(entries, rois.valid, strict=True) if valid}


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


def test_ground_truth_boxes_are_appended_if_configured():
    found = sample_rois(KEY, proposals(70, 90), TWO, 3, MATCH, append_ground_truth=True)
    assert by_left_edge(found) == {0: (2, 0), 40: (1, 1)} | {x: (3, 0) for x in (70, 90)}


def test_slots_without_foreground_repeat_it():
    labels, boxes = jnp.array([2, 0, 3, 3, 3]), jnp.arange(20.0).reshape(5, 4)
    rois = Rois(boxes, jnp.array([True, True, True, True, False]), labels, jnp.array([7, 8, 9, 9, 9]))
    found = stages.foreground_rois(rois, 4, 3)
    np.testing.assert_array_equal(found.valid, [True, True, False, False])
    np.testing.assert_array_equal(found.labels, [2, 0, 2, 0])
    np.testing.assert_array_equal(found.boxes, boxes[jnp.array([0, 1, 0, 1])])
    np.testing.assert_array_equal(found.matched_index, [7, 8, 7, 8])
    nothing = stages.foreground_rois(rois._replace(labels=jnp.full(5, 3)), 4, 3)
    assert not nothing.valid.any()
    np.testing.assert_array_equal(nothing.boxes, boxes[jnp.array([0, 0, 0, 0])])


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


def test_pooling_uses_the_level_of_each_roi():
    """Each level is filled with its own value, as in a test of Detectron2."""
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
