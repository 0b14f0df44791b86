"""RoIs, features and predictions of the box head, on a hand-made trace."""

import numpy as np
import pytest
from inspected import NAMED, NAMES, by_hand, drawn, figure, numbers, texts, trace

from maskrcnn_jax.inspect.colors import COLORS
from maskrcnn_jax.inspect.model.box_head_steps import (
    class_probabilities,
    likely_class_table,
    roi_classes,
    roi_features,
    roi_level_table,
    roi_levels,
    roi_refinement,
)
from maskrcnn_jax.inspect.model.proposal_steps import deltas

ROIS = [[0, 0, 10, 10], [8, 0, 38, 40]]
"""Those of the trace in pixels of the view."""


def without_rois():
    found = trace()
    nothing = np.zeros_like(found.pairs.valid)
    return found._replace(
        rois=found.rois._replace(valid=np.zeros((1, 2), bool)), pairs=found.pairs._replace(valid=nothing, keep=nothing)
    )


def with_pairs(**changes):
    found = trace()
    return found._replace(pairs=found.pairs._replace(**changes))


def test_each_level_has_its_rois():
    drawing = figure(roi_levels(by_hand()))
    assert drawn(drawing) == [[ROIS[0]], [ROIS[1]]]
    # √(10 × 10) and √(30 × 40)
    assert roi_level_table(trace(), NAMED).entries[:2] == [
        ("P2", 4, 1, 10, 10, 10),
        ("P3", 8, 1, pytest.approx(1200**0.5), pytest.approx(1200**0.5), pytest.approx(1200**0.5)),
    ]


def test_only_some_of_many_rois_are_drawn():
    found = trace()._replace(roi_levels=np.zeros((1, 2), np.int32))
    assert drawn(figure(roi_levels(by_hand(found), 1))) == [[ROIS[0]]]
    assert roi_level_table(found, NAMED).entries[1] == ("P3", 8, 0, None, None, None)


def test_the_channels_of_features_that_vary_most():
    shown = [numbers(text) for text in texts(figure(roi_features(by_hand())))]
    assert shown[:4] == [[0, 2], [1, 3], [], []]  # RoI and level, and below each the mean of its channels
    spread = trace().roi_features.std(axis=(0, 1, 2, 3))
    first, second = np.argsort(-spread)[:2]
    assert shown[4:] == [[first], [first], [second], [second]]


def test_rois_of_detections_come_first():
    second = with_pairs(keep=np.array([[False, True, False, False]]))
    assert numbers(texts(figure(roi_features(by_hand(second), 1)))[0]) == [1, 3]
    assert not roi_features(by_hand(without_rois())).figures


def test_classes_of_rois():
    assert sorted(likely_class_table(trace(), NAMES).entries) == [
        ("background", 1, pytest.approx(0.8, abs=1e-5), pytest.approx(0.8, abs=1e-5)),
        ("cat", 1, pytest.approx(0.6, abs=1e-5), pytest.approx(0.6, abs=1e-5)),
    ]
    drawing = figure(roi_classes(by_hand()))
    background, objects = drawn(drawing)
    assert background == [ROIS[1]] and objects == [ROIS[0]]
    assert texts(drawing) == ["cat 0.60"]


def test_rois_are_drawn_at_random_and_the_same_each_time():
    one, again = (figure(roi_classes(by_hand(), count=1, seed=3)) for _ in range(2))
    assert drawn(one) == drawn(again) and sum(map(len, drawn(one))) == 1
    other = {str(drawn(figure(roi_classes(by_hand(), count=1, seed=seed)))) for seed in range(8)}
    assert len(other) == 2


def test_probabilities_as_an_image():
    axes = figure(class_probabilities(by_hand())).axes[0]
    # The roi that is least likely background comes first; dog's 0.1 counts, what is below 0.01 everywhere does not.
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.6, 0.1, 0, 0.3], [0, 0, 0.2, 0.8]], atol=1e-5)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "owl", "background"]
    few = figure(class_probabilities(by_hand(), rois=1, classes=1)).axes[0]
    np.testing.assert_allclose(few.images[0].get_array(), [[0.6, 0.3]], atol=1e-5)
    assert [label.get_text() for label in few.get_xticklabels()] == ["cat", "background"]


def test_rois_before_and_after_their_deltas():
    drawing = figure(roi_refinement(by_hand()))
    before, after = drawn(drawing)
    assert before == [ROIS[0], ROIS[1], ROIS[0]]
    assert after == [[0, 0, 20, 20], [8, 0, 28, 20], [1, 1, 20, 20]]
    assert texts(drawing) == ["cat 0.60", "owl 0.20", "dog 0.10"]
    for collection in drawing.axes[0].collections:
        np.testing.assert_allclose(collection.get_edgecolor()[:, :3], [COLORS[0], COLORS[2], COLORS[1]])
    assert len(drawn(figure(roi_refinement(by_hand(), count=1)))[0]) == 1


def test_plots_without_rois_and_pairs():
    found = without_rois()
    assert not any(drawn(figure(roi_levels(by_hand(found)))))
    assert not any(drawn(figure(roi_classes(by_hand(found)))))
    assert not any(drawn(figure(roi_refinement(by_hand(found)))))
    assert likely_class_table(found, NAMES).entries == []
    labels = [patch.get_label() for patch in figure(deltas(by_hand(found))).axes[4].patches]
    assert [numbers(label) for label in labels] == [[0]]
    axes = figure(class_probabilities(by_hand(found))).axes[0]
    assert not np.any(axes.images[0].get_array())


def test_histograms_of_deltas():
    found = with_pairs(valid=np.array([[True, False, False, False]]))
    found.box.deltas[0, 0, 0] = (1, 2, 3, 4)
    drawing = figure(deltas(by_hand(found)))
    upper, lower = drawing.axes[0], drawing.axes[4]
    labels = [patch.get_label() for patch in (*upper.patches, *lower.patches)]
    assert [numbers(label) for label in labels] == [[8], [4], [1]]  # anchors, candidates, pairs
    for axes, value in zip(drawing.axes[4:], (1, 2, 3, 4), strict=True):
        shares, edges, _ = axes.patches[0].get_data()
        assert shares.sum() == 1 and edges[shares.argmax()] <= value <= edges[shares.argmax() + 1]
    # Deltas of anchor k are 4k … 4k + 3: of dx 0, 4, …, 28. The bins leave out the least and the greatest hundredth of
    # a percent: 0 and 28 of eight anchors; the candidates are the anchors 1, 2, 5 and 6, and none is left out.
    (of_anchors, edges, _), (of_candidates, _, _) = (patch.get_data() for patch in upper.patches)
    assert (of_anchors.sum(), of_candidates.sum()) == pytest.approx((6 / 8, 1))
    assert 0 < edges[0] < 0.1 and 27.9 < edges[-1] < 28


def test_deltas_that_are_not_finite_are_left_out():
    found = trace()
    found.rpn.deltas[0, 0] = np.nan
    # 4, 8, …, 28 are left of eight, and 28 lies beyond the bins; the least, 4, is a candidate's, too, and stays.
    shares, edges, _ = figure(deltas(by_hand(found))).axes[0].patches[0].get_data()
    assert shares.sum() == pytest.approx(6 / 8) and edges[0] == 4
