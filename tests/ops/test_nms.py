"""Non-maximum suppression compared with the sequential greedy loop."""

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops.nms import TILE, first, nms

THRESHOLDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)

jitted = jax.jit(nms, static_argnums=2)
jitted_first = jax.jit(first, static_argnums=1)


def keep8(boxes, threshold, valid=None):
    """The kept ones of up to eight boxes; the other slots are padding."""
    boxes = np.asarray(boxes, np.float32)
    valid = np.ones(len(boxes), bool) if valid is None else np.asarray(valid)
    empty = 8 - len(boxes)
    padded = np.pad(boxes, ((0, empty), (0, 0))), np.pad(valid, (0, empty))
    keep = np.asarray(jitted(*padded, threshold, np.zeros(8, np.int32)))
    assert not keep[len(boxes) :].any()
    return keep[: len(boxes)]


def define_iou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
    height = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else np.float32(0)


def define_nms(boxes, valid, threshold, group):
    """The greedy rule, box after box."""
    kept = []
    for i in range(len(boxes)):
        rivals = [k for k in kept if group[k] == group[i]]
        if valid[i] and not any(define_iou(boxes[k], boxes[i]) > np.float32(threshold) for k in rivals):
            kept.append(i)
    return [i in kept for i in range(len(boxes))]


def check(boxes, valid, threshold, group=None):
    keep = jitted(jnp.asarray(boxes), jnp.asarray(valid), threshold, None if group is None else jnp.asarray(group))
    expected = define_nms(boxes, valid, threshold, np.zeros(len(boxes)) if group is None else group)
    np.testing.assert_array_equal(keep, expected)


def random_boxes(rng, count, side):
    """Boxes with whole corners, so that areas are exact in float32 and only the quotient is rounded."""
    corner = rng.integers(0, side, (count, 2))
    return np.concatenate([corner, corner + rng.integers(0, side // 2, (count, 2))], axis=1).astype(np.float32)


def staircase(count):
    """Each box overlaps the next by 6/14 and the one after it by 2/18."""
    left = 4.0 * np.arange(count, dtype=np.float32)
    return np.stack([left, np.zeros(count, np.float32), left + 10, np.full(count, 10, np.float32)], axis=1)


def test_by_hand():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 5]]
    # IoU with the first: 0.9, 0 and 0.5. Suppression is strict: 0.5 stays at a threshold of 0.5.
    np.testing.assert_array_equal(keep8(boxes, 0.5), [True, False, True, True])
    np.testing.assert_array_equal(keep8(boxes, 0.49), [True, False, True, False])


def test_suppressed_box_suppresses_nothing():
    np.testing.assert_array_equal(keep8(staircase(3), 0.3), [True, False, True])


def test_invalid_box_neither_stays_nor_suppresses():
    keep = keep8([[0, 0, 10, 10]] * 3, 0.5, valid=[False, True, True])
    np.testing.assert_array_equal(keep, [False, True, False])


@pytest.mark.parametrize("count", [1, 2, 33, TILE, TILE + 1, 2 * TILE + 77])
def test_long_chain_keeps_every_second_box(count):
    keep = jitted(jnp.asarray(staircase(count)), jnp.ones(count, bool), 0.3, None)
    np.testing.assert_array_equal(keep, np.arange(count) % 2 == 0)


def test_chain_below_one_half_keeps_every_third_box():
    # At a threshold of 0.1 the box after next goes too (2/18), the third does not (no overlap: 12 > 10).
    keep = jitted(jnp.asarray(staircase(60)), jnp.ones(60, bool), 0.1, None)
    np.testing.assert_array_equal(keep, np.arange(60) % 3 == 0)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_random_boxes_equal_the_greedy_loop(threshold):
    rng = np.random.default_rng(0)
    for side in (12, 40, 200):
        check(random_boxes(rng, 120, side), rng.random(120) < 0.9, threshold)


@pytest.mark.parametrize("tile", [7, 11, 50, 119, 120])
def test_tiles_of_any_size_equal_the_greedy_loop(monkeypatch, tile):
    monkeypatch.setattr("maskrcnn_jax.ops.nms.TILE", tile)
    rng = np.random.default_rng(3)
    boxes, valid, group = random_boxes(rng, 120, 16), rng.random(120) < 0.9, rng.integers(0, 2, 120)
    keep = jax.jit(lambda boxes, valid, group: nms(boxes, valid, 0.3, group))(boxes, valid, group)
    np.testing.assert_array_equal(keep, define_nms(boxes, valid, 0.3, group))


def test_tiles_of_one_box_equal_the_greedy_loop(monkeypatch):
    monkeypatch.setattr("maskrcnn_jax.ops.nms.TILE", 1)
    boxes, valid, group = random_boxes(np.random.default_rng(4), 12, 6), np.arange(12) != 2, np.arange(12) % 2
    keep = jax.jit(lambda boxes, valid, group: nms(boxes, valid, 0.3, group))(boxes, valid, group)
    np.testing.assert_array_equal(keep, define_nms(boxes, valid, 0.3, group))
    assert 0 < keep.sum() < valid.sum()


def test_no_boxes():
    assert nms(jnp.zeros((0, 4)), jnp.zeros(0, bool), 0.5).shape == (0,)


def test_equal_boxes():
    boxes = [[2, 3, 9, 8]] * 6
    for threshold in THRESHOLDS[:-1]:
        np.testing.assert_array_equal(keep8(boxes, threshold), [True] + [False] * 5)
    # No overlap exceeds 1.
    np.testing.assert_array_equal(keep8(boxes, 1.0), [True] * 6)


def test_boxes_without_area_stay():
    boxes = [[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10], [3, 0, 3, 10]]
    np.testing.assert_array_equal(keep8(boxes, 0.0), [True] * 4)


def test_all_padding():
    assert not keep8(np.zeros((8, 4)), 0.5, valid=np.zeros(8, bool)).any()


def test_groups_are_independent():
    rng = np.random.default_rng(1)
    boxes, group = random_boxes(rng, 90, 16), rng.integers(0, 3, 90).astype(np.int32)
    valid = rng.random(90) < 0.9
    check(boxes, valid, 0.3, group)
    keep = np.asarray(jitted(boxes, valid, 0.3, group))
    for g in range(3):
        # A group gives the same result alone and among others.
        alone = define_nms(boxes, valid & (group == g), 0.3, np.zeros(90))
        np.testing.assert_array_equal(keep & (group == g), alone)


def test_vmap_changes_nothing():
    rng = np.random.default_rng(2)
    boxes = np.stack([staircase(40), random_boxes(rng, 40, 10), np.zeros((40, 4), np.float32)])
    valid = np.stack([np.ones(40, bool), rng.random(40) < 0.8, np.zeros(40, bool)])
    lifted = jax.jit(jax.vmap(lambda b, v: nms(b, v, 0.3)))(boxes, valid)
    for image in range(3):
        np.testing.assert_array_equal(lifted[image], define_nms(boxes[image], valid[image], 0.3, np.zeros(40)))


small_boxes = hnp.arrays(np.float32, (8, 4), elements=st.integers(0, 4).map(float)).map(
    lambda b: np.concatenate([np.minimum(b[:, :2], b[:, 2:]), np.maximum(b[:, :2], b[:, 2:])], axis=1)
)
"""On a 4 × 4 grid boxes coincide, touch, nest and have no area all the time."""


@given(
    boxes=small_boxes,
    valid=hnp.arrays(bool, 8),
    group=hnp.arrays(np.int32, 8, elements=st.integers(0, 1)),
    threshold=st.sampled_from(THRESHOLDS),
)
def test_any_boxes_equal_the_greedy_loop(boxes, valid, group, threshold):
    check(boxes, valid, threshold, group)


@pytest.mark.parametrize(
    ("keep", "count", "index", "found"),
    [
        ([0, 1, 0, 1, 1], 2, [1, 3], [True, True]),
        ([0, 1, 0, 0, 0], 3, [1, 0, 0], [True, False, False]),
        ([0, 0, 0, 0, 0], 2, [0, 0], [False, False]),
        ([0, 0, 0, 0, 1], 3, [4, 0, 0], [True, False, False]),
        ([1, 1, 1, 1, 1], 6, [0, 1, 2, 3, 4, 0], [True] * 5 + [False]),  # more asked for than there are
    ],
)
def test_first(keep, count, index, found):
    got_index, got_found = jitted_first(np.asarray(keep, bool), count)
    np.testing.assert_array_equal(got_index, index)
    np.testing.assert_array_equal(got_found, found)
