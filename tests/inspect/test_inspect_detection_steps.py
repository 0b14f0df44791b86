"""From RoIs to detections and masks, on a hand-made trace."""

import dataclasses
from itertools import pairwise

import cv2
import numpy as np
import pytest
from inspected import NAMED, NAMES, VIEW, by_hand, drawn, figure, numbers, texts, trace, without_detections

from maskrcnn_jax.inspect.model.detection_steps import (
    class_masks,
    class_suppression,
    class_suppression_table,
    color_splash,
    cut_out,
    detections,
    filter_table,
    masks,
)
from maskrcnn_jax.inspect.model.input_steps import image

MASKLESS = trace()._replace(detections=trace().detections._replace(masks=None), heads={})


def counts(config=NAMED) -> list[int]:
    return [number for _, number, _ in filter_table(trace(), config).entries]


def test_what_each_rule_leaves():
    # Above 0.05: cat 0.6, dog 0.1 and owl 0.2.
    assert counts() == [2, 1, 3, 3, 2, 1]


def test_one_class_for_each_roi():
    """Where only the most likely class counts: cat 0.6; the other roi is background."""
    best = dataclasses.replace(NAMED.detect, best_class_only=True)
    assert counts(dataclasses.replace(NAMED, detect=best))[2] == 1


def test_suppression_class_by_class():
    entries = class_suppression_table(trace(), NAMES).entries
    assert entries == [("cat", 1, 1, "#0", "#0"), ("dog", 1, 0, "#0", ""), ("owl", 1, 1, "#1", "#1")]
    assert class_suppression_table(trace(), NAMES, most=0).entries[0][3:] == (" …", " …")


def test_kept_and_dropped_pairs():
    drawing = figure(class_suppression(by_hand()))
    dropped, kept = drawn(drawing)
    assert dropped == [[1, 1, 20, 20]] and kept == [[0, 0, 20, 20], [8, 0, 28, 20]]
    assert texts(drawing) == ["cat 0.60", "owl 0.20"]
    assert [len(layer) for layer in drawn(figure(class_suppression(by_hand(), count=1)))] == [0, 1]


def test_detections_with_masks():
    drawing = figure(detections(by_hand()))
    assert drawn(drawing) == [[[0, 0, 20, 20]]] and texts(drawing) == ["cat 0.60"]
    layer = np.asarray(drawing.axes[0].images[1].get_array())
    assert layer.shape[:2] == VIEW.image.shape[:2]
    expected = np.zeros((40, 60), bool)
    expected[:20, :10] = True  # the left half of the box
    np.testing.assert_array_equal(layer[..., 3] > 0, expected)


def test_detections_with_low_scores_are_left_out():
    drawing = figure(detections(by_hand(), 0.7))
    assert not any(drawn(drawing)) and not texts(drawing)


@pytest.mark.parametrize("found", [without_detections(trace()), without_detections(MASKLESS)])
def test_nothing_found(found):
    assert not any(drawn(figure(detections(by_hand(found)))))


def test_detections_without_masks():
    assert drawn(figure(detections(by_hand(MASKLESS)))) == [[[0, 0, 20, 20]]]
    assert color_splash(by_hand(MASKLESS)) is masks(by_hand(MASKLESS)) is class_masks(by_hand(MASKLESS)) is None


def test_splash_keeps_the_colours_of_objects():
    shown = np.asarray(figure(color_splash(by_hand())).axes[0].images[0].get_array())
    np.testing.assert_array_equal(shown[:20, :10], VIEW.image[:20, :10])
    gray = cv2.cvtColor(VIEW.image, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(shown[:, 10:], gray[:, 10:, None].repeat(3, axis=2))
    nothing = np.asarray(figure(color_splash(by_hand(), 0.7)).axes[0].images[0].get_array())
    np.testing.assert_array_equal(nothing, gray[..., None].repeat(3, axis=2))


def test_the_image_as_it_is():
    np.testing.assert_array_equal(figure(image(by_hand())).axes[0].images[0].get_array(), VIEW.image)


def test_masks_as_they_come_and_as_they_are_pasted():
    # Of 20 × 20 pixels the left half.
    shown = [numbers(text) for text in texts(figure(masks(by_hand())))]
    assert shown == [[0.6], [28, 28, 0, 1], [200]]  # score; cells and probabilities; pixels
    assert masks(by_hand(without_detections(trace()))) is None


def marked_classes(step) -> list[tuple[str, bool]]:
    """The classes that a step shows, and whether a mask of each is marked as that of the detection's class."""
    shown = texts(figure(step))
    return [(text, follower not in (*NAMES, "")) for text, follower in pairwise([*shown, ""]) if text in NAMES]


def test_masks_of_other_classes():
    assert marked_classes(class_masks(by_hand())) == [("cat", True), ("dog", False), ("owl", False)]
    assert marked_classes(class_masks(by_hand(), classes=1)) == [("cat", True)]
    assert class_masks(by_hand(without_detections(trace()))) is None


def test_the_own_class_is_among_those_that_are_shown():
    found = trace()
    mask = found.heads["mask"]
    rois = mask.rois._replace(labels=np.array([[2, 0]], np.int32))
    owl = found._replace(heads={"mask": mask._replace(rois=rois)})
    assert marked_classes(class_masks(by_hand(owl), classes=2)) == [("cat", False), ("owl", True)]


def test_cut_outs():
    image = np.full((6, 6, 3), (30, 60, 90), np.uint8)
    mask = np.zeros((6, 6), bool)
    mask[1:5, 1:5] = True
    shown = cut_out(image, mask, (1.0, 0.0, 0.0))
    assert shown[2, 2].tolist() == shown[3, 3].tolist() == [30, 60, 90]
    assert shown[1, 1].tolist() == shown[4, 2].tolist() == [255, 0, 0]
    # gray 0.299 × 30 + 0.587 × 60 + 0.114 × 90 = 54; 255 − (255 − 54) / 3 = 188
    assert shown[0, 0].tolist() == [188] * 3
    np.testing.assert_array_equal(image, np.full((6, 6, 3), (30, 60, 90), np.uint8))
    assert (cut_out(image, np.zeros((6, 6), bool), (1.0, 0.0, 0.0)) == 188).all()
