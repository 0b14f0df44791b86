"""Matching compared with the rule of Faster R-CNN in loops, ties included."""

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops.matching import Assignment, match

POSITIVE, NEGATIVE, IGNORE = Assignment.POSITIVE, Assignment.NEGATIVE, Assignment.IGNORE

BOTH = jnp.array([True, True])
"""Both slots hold an object."""


def nobody(usable):
    """No slot holds a crowd."""
    return jnp.zeros(len(usable), bool)


jitted = jax.jit(match, static_argnums=(2, 3, 4, 6))


def define_match(iou, usable, foreground, background, low_quality):
    """Index, assignment and IoU of each box, box by box."""
    slots, count = iou.shape
    iou, foreground, background = iou.tolist(), float(np.float32(foreground)), float(np.float32(background))
    slots = [slot for slot in range(slots) if usable[slot]]
    found = []
    for box in range(count):
        index, best = 0, 0.0
        if slots:
            index = max(slots, key=lambda slot: (iou[slot][box], -slot))
            best = iou[index][box]
        if slots and best >= foreground:
            assignment = POSITIVE
        elif best < background:
            assignment = NEGATIVE
        else:
            assignment = IGNORE
        for slot in slots if low_quality else []:
            highest = max(iou[slot])
            if highest > 0 and iou[slot][box] == highest:
                assignment = POSITIVE
        found.append((index, assignment, best))
    return [list(column) for column in zip(*found, strict=True)]


def check(iou, usable, foreground, background, low_quality):
    matches = jitted(jnp.asarray(iou), jnp.asarray(usable), foreground, background, low_quality, nobody(usable), None)
    index, assignment, best = define_match(iou, usable, foreground, background, low_quality)
    np.testing.assert_array_equal(matches.index, index)
    np.testing.assert_array_equal(matches.assignment, assignment)
    np.testing.assert_array_equal(matches.iou, best)


IOU = np.array(
    [
        # two objects against six boxes
        [0.8, 0.7, 0.5, 0.29, 0.0, 0.1],
        [0.1, 0.2, 0.6, 0.30, 0.0, 0.2],
    ],
    np.float32,
)


def test_thresholds_by_hand():
    matches = match(jnp.asarray(IOU), BOTH, 0.7, 0.3, False, nobody(BOTH), None)
    # 0.7 is enough for positive and 0.3 enough not to be negative.
    expected = [POSITIVE, POSITIVE, IGNORE, IGNORE, NEGATIVE, NEGATIVE]
    np.testing.assert_array_equal(matches.assignment, expected)
    np.testing.assert_array_equal(matches.index, [0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(matches.iou, IOU.max(axis=0))


def test_low_quality_by_hand():
    matches = match(jnp.asarray(IOU), BOTH, 0.7, 0.3, True, nobody(BOTH), None)
    # The second object's best box is the third, with 0.6.
    expected = [POSITIVE, POSITIVE, POSITIVE, IGNORE, NEGATIVE, NEGATIVE]
    np.testing.assert_array_equal(matches.assignment, expected)


def test_low_quality_box_keeps_its_own_best_object():
    # The second object's only overlap, 0.2, is with a box that overlaps the first by 0.4.
    iou = jnp.array([[0.9, 0.4], [0.0, 0.2]])
    matches = match(iou, BOTH, 0.7, 0.3, True, nobody(BOTH), None)
    np.testing.assert_array_equal(matches.assignment, [POSITIVE, POSITIVE])
    np.testing.assert_array_equal(matches.index, [0, 0])


def test_all_boxes_tied_for_an_object_become_positive():
    iou = jnp.array([[0.4, 0.1, 0.4, 0.4]])
    matches = match(iou, jnp.array([True]), 0.7, 0.3, True, jnp.array([False]), None)
    np.testing.assert_array_equal(matches.assignment, [POSITIVE, NEGATIVE, POSITIVE, POSITIVE])


def test_object_that_nothing_overlaps_makes_nothing_positive():
    matches = match(jnp.zeros((2, 5)), BOTH, 0.7, 0.3, True, nobody(BOTH), None)
    np.testing.assert_array_equal(matches.assignment, [NEGATIVE] * 5)


def test_slots_that_are_not_usable_do_not_count():
    iou = jnp.array([[0.9, 0.8, 0.0], [0.1, 0.75, 0.0]])
    matches = match(iou, jnp.array([False, True]), 0.7, 0.3, True, nobody(BOTH), None)
    np.testing.assert_array_equal(matches.assignment, [NEGATIVE, POSITIVE, NEGATIVE])
    np.testing.assert_array_equal(matches.index, [1, 1, 1])


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("thresholds", [(0.7, 0.3), (0.5, 0.5), (0.0, 0.0)])
def test_no_object_makes_every_box_negative(thresholds, low_quality):
    matches = jitted(jnp.full((3, 4), 0.9), jnp.zeros(3, bool), *thresholds, low_quality, jnp.zeros(3, bool), None)
    # With thresholds of 0 nothing is below background, and nothing may be positive: the boxes are ignored.
    expected = NEGATIVE if thresholds[1] > 0 else IGNORE
    np.testing.assert_array_equal(matches.assignment, [expected] * 4)
    np.testing.assert_array_equal(matches.index, [0] * 4)
    np.testing.assert_array_equal(matches.iou, [0] * 4)


tenths = hnp.arrays(np.float32, (4, 7), elements=st.integers(0, 10).map(lambda i: float(np.float32(i / 10))))
"""Overlaps in tenths: ties and values exactly at a threshold come up often."""


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("thresholds", [(0.7, 0.3), (0.5, 0.5)])
@given(iou=tenths, usable=hnp.arrays(bool, 4))
def test_match_equals_the_definition(iou, usable, thresholds, low_quality):
    check(iou, usable, *thresholds, low_quality)


@pytest.mark.parametrize("low_quality", [False, True])
def test_match_equals_the_definition_on_random_overlaps(low_quality):
    rng = np.random.default_rng(0)
    for _ in range(5):
        iou = (rng.random((10, 200)) ** 2).astype(np.float32)
        check(iou, rng.random(10) < 0.7, 0.7, 0.3, low_quality)


def test_background_over_a_crowd_is_ignored():
    # The second slot is a crowd. Box 0 is positive all the same; box 1 touches the threshold; box 2 stays below it.
    iou = jnp.array([[0.8, 0.1, 0.1, 0.0], [0.9, 0.5, 0.49, 0.0]])
    usable, crowd = jnp.array([True, False]), jnp.array([False, True])
    matches = match(iou, usable, 0.7, 0.3, False, crowd, 0.5)
    np.testing.assert_array_equal(matches.assignment, [POSITIVE, IGNORE, NEGATIVE, NEGATIVE])
    np.testing.assert_array_equal(matches.index, [0, 0, 0, 0])
    without = match(iou, usable, 0.7, 0.3, False, crowd, None)
    np.testing.assert_array_equal(without.assignment, [POSITIVE, NEGATIVE, NEGATIVE, NEGATIVE])
