"""From anchors to proposals on a hand-made trace: which boxes are drawn, where, and in which layer."""

import numpy as np
import pytest
from inspected import ANCHORS, NAMED, by_hand, drawn, figure, numbers, texts, trace
from small import change

from maskrcnn_jax.inspect.colors import COLORS
from maskrcnn_jax.inspect.model.proposal_steps import (
    best_candidates,
    objectness,
    proposal_corners,
    refined,
    suppression,
    top_anchors,
)

CANDIDATES = [[0, 0, 10, 10], [1, 1, 10, 10], [-2, -4, -2, -4], [8, 0, 38, 40]]
"""Those of the trace in pixels of the view, whose corner is at (2, 4)."""


def placed(anchors: list[int]) -> list[list[float]]:
    return (ANCHORS[anchors] - [2, 4, 2, 4]).tolist()


def test_anchors_know_their_level():
    pyramid = by_hand().pyramid
    assert pyramid.cells == ((3, 2), (1, 2)) and pyramid.counts == (6, 2)
    assert pyramid.levels().tolist() == [0] * 6 + [1] * 2


def test_top_anchors_are_those_with_the_highest_logits():
    # logits 0, 3, 1, −2, −4, 0.5 | 2, −9
    drawing = figure(top_anchors(by_hand(), 3))
    assert drawn(drawing) == [placed([1, 6, 2])]
    colors = drawing.axes[0].collections[0].get_edgecolor()[:, :3]
    np.testing.assert_allclose(colors, [COLORS[0], COLORS[1], COLORS[0]])


def test_what_leaves_the_image_is_seen():
    axes = figure(top_anchors(by_hand(), 8)).axes[0]
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    assert left < -2 and top < -4 and right > 60 and bottom > 40


def test_objectness_by_level():
    # sigmoid(−4) = 0.018, sigmoid(3) = 0.953; sigmoid(−9) = 0.0001, sigmoid(2) = 0.881
    shown = [numbers(text) for text in texts(figure(objectness(by_hand())))]
    assert shown == [[2, 3, 2, 0.02, 0.95], [3, 1, 2, 0, 0.88]]  # level, cells, least and greatest score


def test_the_best_anchor_of_a_cell_counts():
    found = trace()
    two = found._replace(
        anchors=np.repeat(ANCHORS, 2, axis=0),
        rpn=found.rpn._replace(logits=np.stack([found.rpn.logits, found.rpn.logits - 50], axis=2).reshape(1, 16)),
    )
    config = change(NAMED, rpn__anchors__aspect_ratios=(1.0, 2.0))
    assert texts(figure(objectness(by_hand(two, config)))) == texts(figure(objectness(by_hand(found))))


@pytest.mark.parametrize(("count", "expected"), [(2, [0, 3]), (50, [0, 3, 1])])
def test_the_best_candidates_of_all_levels(count: int, expected: list[int]):
    # scores 0.9, 0.7, 0.6 of what is no box, 0.8
    assert best_candidates(trace(), count).tolist() == expected


def test_candidates_before_and_after():
    drawing = figure(refined(by_hand(), 2))
    anchors, decoded, clipped = drawn(drawing)
    assert anchors == placed([1, 6])
    assert decoded == [[-1, -1, 9, 9], [7, -1, 37, 39]]
    assert clipped == [CANDIDATES[0], CANDIDATES[3]]
    lines = [layer for layer in drawing.axes[0].collections if len(layer.get_paths()[0].vertices) == 2]
    assert [path.vertices.tolist() for path in lines[0].get_paths()] == [
        [anchors[0][:2], [-1, -1]],
        [anchors[1][:2], [7, -1]],
    ]


def test_kept_dropped_and_proposed():
    drawing = figure(suppression(by_hand(), 50))
    dropped, kept, proposals = drawn(drawing)
    assert dropped == [CANDIDATES[1]]
    assert kept == proposals == [CANDIDATES[0], CANDIDATES[3]]


def test_corners_of_proposals():
    starts, ends = (axes.lines[0].get_xydata().tolist() for axes in figure(proposal_corners(by_hand())).axes)
    assert starts == [[0, 0], [8, 0]] and ends == [[10, 10], [38, 40]]


def test_a_network_that_proposes_nothing():
    found, nothing = trace(), np.zeros((1, 4), bool)
    found = found._replace(
        candidates=found.candidates._replace(valid=nothing, keep=nothing),
        proposals=found.proposals._replace(valid=nothing[:, :3]),
    )
    for step in (refined, suppression):
        assert not any(drawn(figure(step(by_hand(found)))))
    assert [len(axes.lines[0].get_xydata()) for axes in figure(proposal_corners(by_hand(found))).axes] == [0, 0]
