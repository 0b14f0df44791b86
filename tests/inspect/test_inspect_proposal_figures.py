"""From anchors to proposals on a hand-made trace: which boxes are drawn, where, and in which layer."""

import numpy as np
import pytest
from maskrcnn_jax.inspect.model.proposal_figures import (
    best_candidates,
    corner_figure,
    objectness_figure,
    refined_figure,
    suppression_figure,
    top_anchor_figure,
    trace_pyramid,
)
from subjects import ANCHORS, VIEW, drawn, texts, titles, trace

from maskrcnn_jax.inspect.panels import COLORS

CANDIDATES = [[0, 0, 10, 10], [1, 1, 10, 10], [-2, -4, -2, -4], [8, 0, 38, 40]]
"""Those of the trace in pixels of the view, whose corner is at (2, 4)."""


def placed(anchors: list[int]) -> list[list[float]]:
    return (ANCHORS[anchors] - [2, 4, 2, 4]).tolist()


def test_anchors_know_their_level():
    pyramid = trace_pyramid(trace())
    assert pyramid.cells == ((3, 2), (1, 2)) and pyramid.counts == (6, 2)
    assert pyramid.levels().tolist() == [0] * 6 + [1] * 2


def test_levels_have_as_many_anchors_as_cells_times_ratios():
    three = trace()._replace(anchors=np.repeat(ANCHORS, 3, axis=0))
    assert trace_pyramid(three).counts == (18, 6)


def test_top_anchors_are_those_with_the_highest_logits():
    # logits 0, 3, 1, −2, −4, 0.5 | 2, −9
    figure = top_anchor_figure(trace(), VIEW, 3)
    assert drawn(figure) == [placed([1, 6, 2])]
    colors = figure.axes[0].collections[0].get_edgecolor()[:, :3]
    np.testing.assert_allclose(colors, [COLORS[0], COLORS[1], COLORS[0]])
    assert titles(figure) == ["The 3 anchors with the highest objectness"]


def test_what_leaves_the_image_is_seen():
    axes = top_anchor_figure(trace(), VIEW, 8).axes[0]
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    assert left < -2 and top < -4 and right > 60 and bottom > 40


def test_objectness_by_level():
    # sigmoid(−4) = 0.018, sigmoid(3) = 0.953; sigmoid(−9) = 0.0001, sigmoid(2) = 0.881
    assert texts(objectness_figure(trace())) == ["P2, 3 × 2 cells: 0.02 … 0.95", "P3, 1 × 2 cells: 0.00 … 0.88"]


def test_objectness_without_overflow():
    found = trace()
    extreme = found._replace(rpn=found.rpn._replace(logits=np.float32([[-1e4] * 4 + [1e4] * 4])))
    assert texts(objectness_figure(extreme)) == ["P2, 3 × 2 cells: 0.00 … 1.00", "P3, 1 × 2 cells: 1.00 … 1.00"]


def test_the_surest_anchor_of_a_cell_counts():
    found = trace()
    two = found._replace(
        anchors=np.repeat(ANCHORS, 2, axis=0),
        rpn=found.rpn._replace(logits=np.stack([found.rpn.logits, found.rpn.logits - 50], axis=2).reshape(1, 16)),
    )
    assert texts(objectness_figure(two)) == texts(objectness_figure(found))


@pytest.mark.parametrize(("count", "expected"), [(2, [0, 3]), (50, [0, 3, 1])])
def test_the_best_candidates_of_all_levels(count: int, expected: list[int]):
    # scores 0.9, 0.7, 0.6 of what is no box, 0.8
    assert best_candidates(trace(), count).tolist() == expected


def test_candidates_before_and_after():
    figure = refined_figure(trace(), VIEW, 2)
    anchors, decoded, clipped = drawn(figure)
    assert anchors == placed([1, 6])
    assert decoded == [[-1, -1, 9, 9], [7, -1, 37, 39]]
    assert clipped == [CANDIDATES[0], CANDIDATES[3]]
    lines = [layer for layer in figure.axes[0].collections if len(layer.get_paths()[0].vertices) == 2]
    assert [path.vertices.tolist() for path in lines[0].get_paths()] == [
        [anchors[0][:2], [-1, -1]],
        [anchors[1][:2], [7, -1]],
    ]


def test_kept_dropped_and_proposed():
    figure = suppression_figure(trace(), VIEW, 50)
    dropped, kept, proposals = drawn(figure)
    assert dropped == [CANDIDATES[1]]
    assert kept == proposals == [CANDIDATES[0], CANDIDATES[3]]
    assert titles(figure) == ["Of the 3 best candidates 2 are kept, 1 dropped", "The 2 best of 2 proposals"]


def test_corners_of_proposals():
    starts, ends = (axes.lines[0].get_xydata().tolist() for axes in corner_figure(trace(), VIEW).axes)
    assert starts == [[0, 0], [8, 0]] and ends == [[10, 10], [38, 40]]


def test_a_network_that_proposes_nothing():
    found, nothing = trace(), np.zeros((1, 4), bool)
    found = found._replace(
        candidates=found.candidates._replace(valid=nothing, keep=nothing),
        proposals=found.proposals._replace(valid=nothing[:, :3]),
    )
    for figure in (refined_figure(found, VIEW), suppression_figure(found, VIEW)):
        assert not any(drawn(figure))
    assert [len(axes.lines[0].get_xydata()) for axes in corner_figure(found, VIEW).axes] == [0, 0]
