"""Recall of every stage, by hand."""

import numpy as np
import pytest
from inspected import trace

from maskrcnn_jax.inspect.model.recall_steps import (
    THRESHOLDS,
    object_recall_table,
    recall_at,
    recall_figure,
    recall_table,
    stage_boxes,
    stage_overlaps,
)

OBJECTS = np.array([[2, 4, 12, 14], [10, 4, 25, 44]], np.float32)
"""The first is a proposal itself; the second is the left half of the other, which is 30 × 40."""


def test_boxes_of_the_stages_without_padding():
    boxes = stage_boxes(trace())
    assert [len(stage) for stage in boxes.values()] == [8, 3, 2, 2]
    assert list(boxes) == ["anchors", "candidates: refined and clipped", "kept by suppression", "proposals"]
    assert boxes["kept by suppression"].tolist() == boxes["proposals"].tolist() == [[2, 4, 12, 14], [10, 4, 40, 44]]


def test_overlaps_by_hand():
    of_objects, of_boxes = stage_overlaps(trace(), OBJECTS)["proposals"]
    np.testing.assert_allclose(of_objects, [1, 0.5])
    np.testing.assert_allclose(of_boxes, [1, 0.5])
    # The anchor (0, 0, 8, 8) shares 6 × 4 of 64 + 100 − 24 pixels with the first object, the anchor (0, 0, 32, 32)
    # 100 of 1024, (16, 0, 24, 8) with the second 8 × 4 of 64 + 600 − 32, and (0, 0, 32, 32) 15 × 28 of 1024 + 600 − 420
    of_objects, of_boxes = stage_overlaps(trace(), OBJECTS)["anchors"]
    np.testing.assert_allclose(of_objects, [24 / 140, 420 / 1204], rtol=1e-6)
    np.testing.assert_allclose(of_boxes[[0, 1, 6]], [24 / 140, 32 / 632, 420 / 1204], rtol=1e-6)


def test_recall_counts_what_reaches_the_threshold():
    assert recall_at(np.array([1, 0.5, 0.2]), (0.5, 0.6, 1.0)).tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert np.isnan(recall_at(np.zeros(0), (0.5,))).all()


def test_recall_table_by_hand():
    entries = recall_table(stage_overlaps(trace(), OBJECTS)).entries
    # Of ten thresholds from 0.5 to 0.95 the first is reached by both objects, the others by one.
    assert entries[3] == ("proposals", 2, 1, 1.0, 0.5, pytest.approx((1 + 9 * 0.5) / 10))
    assert entries[0] == ("anchors", 8, 0, 0.0, 0.0, 0.0)
    assert len(THRESHOLDS) == 10


def test_objects_that_are_lost_are_marked():
    far = np.array([[50, 50, 60, 60]], np.float32)
    table = object_recall_table(stage_overlaps(trace(), np.concatenate([OBJECTS, far])), ["cat 1", "dog 2", "owl 3"])
    assert table.entries[2] == ("owl 3", 0, 0, 0, 0)
    assert table.entries[0][0] == "cat 1" and table.entries[0][3:] == (pytest.approx(1), pytest.approx(1))
    assert table.marked == [2]


def test_stages_without_boxes():
    found, nothing = trace(), np.zeros((1, 4), bool)
    found = found._replace(
        candidates=found.candidates._replace(valid=nothing, keep=nothing),
        proposals=found.proposals._replace(valid=nothing[:, :3]),
    )
    overlaps = stage_overlaps(found, OBJECTS)
    assert overlaps["proposals"][0].tolist() == [0, 0] and len(overlaps["proposals"][1]) == 0
    assert recall_table(overlaps).entries[3] == ("proposals", 0, 0, 0, 0, 0)


def test_curves_fall():
    axes = recall_figure(stage_overlaps(trace(), OBJECTS)).axes[0]
    assert all((np.diff(line.get_ydata()) <= 0).all() for line in axes.lines[:4])
