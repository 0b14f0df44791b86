"""From rois to detections and masks, on a hand-made trace."""

import dataclasses

import cv2
import numpy as np
import pytest
from maskrcnn_jax.inspect.model.detection_figures import (
    class_suppression_figure,
    class_suppression_table,
    detection_figure,
    filter_table,
    image_figure,
    splash_figure,
)
from maskrcnn_jax.inspect.model.mask_figures import class_mask_figure, cut_out, mask_figure, surroundings
from small import CONFIG
from subjects import NAMES, VIEW, drawn, texts, titles, trace, without_detections

CONFIG = dataclasses.replace(CONFIG.model, class_names=NAMES)
MASKLESS = trace()._replace(
    detections=trace().detections._replace(masks=None), mask_rois=None, mask_features=None, mask_logits=None
)


def counts(config=CONFIG) -> list[int]:
    return [number for _, number, _ in filter_table(trace(), config).rows]


def test_what_each_rule_leaves():
    # Above 0.05: cat 0.6, dog 0.1 and owl 0.2.
    assert counts() == [2, 1, 3, 3, 2, 1]


def test_one_class_for_each_roi():
    """Where only the most likely class counts: cat 0.6; the other roi is background."""
    best = dataclasses.replace(CONFIG.detect, best_class_only=True)
    assert counts(dataclasses.replace(CONFIG, detect=best))[2] == 1


def test_suppression_class_by_class():
    columns, rows, *_ = class_suppression_table(trace(), NAMES)
    assert columns[3:] == ("rois that enter", "rois that are kept")
    assert rows == [("cat", 1, 1, "#0", "#0"), ("dog", 1, 0, "#0", ""), ("owl", 1, 1, "#1", "#1")]
    assert class_suppression_table(trace(), NAMES, most=0).rows[0][3:] == (" …", " …")


def test_kept_and_dropped_pairs():
    figure = class_suppression_figure(trace(), VIEW, NAMES)
    dropped, kept = drawn(figure)
    assert dropped == [[1, 1, 20, 20]] and kept == [[0, 0, 20, 20], [8, 0, 28, 20]]
    assert texts(figure) == ["cat 0.60", "owl 0.20"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat, kept", "owl, kept", "dropped"]
    assert titles(figure) == ["Of 3 pairs 2 are kept and 1 dropped"]
    assert titles(class_suppression_figure(trace(), VIEW, NAMES, count=1)) == [
        "Of the 1 best of 3 pairs 1 are kept and 0 dropped"
    ]


def test_detections_with_masks():
    figure = detection_figure(trace(), VIEW, CONFIG)
    assert drawn(figure) == [[[0, 0, 20, 20]]] and texts(figure) == ["cat 0.60"]
    layer = np.asarray(figure.axes[0].images[1].get_array())
    assert layer.shape[:2] == VIEW.image.shape[:2]
    expected = np.zeros((40, 60), bool)
    expected[:20, :10] = True  # the left half of the box
    np.testing.assert_array_equal(layer[..., 3] > 0, expected)


def test_unsure_detections_are_left_out():
    figure = detection_figure(trace(), VIEW, CONFIG, 0.7)
    assert not any(drawn(figure)) and not texts(figure)
    assert titles(figure) == ["0 detections with a score of 0.7 or more"]


@pytest.mark.parametrize("found", [without_detections(trace()), without_detections(MASKLESS)])
def test_nothing_found(found):
    assert not any(drawn(detection_figure(found, VIEW, CONFIG)))


def test_detections_without_masks():
    assert drawn(detection_figure(MASKLESS, VIEW, CONFIG)) == [[[0, 0, 20, 20]]]
    with pytest.raises(ValueError, match="without masks"):
        splash_figure(MASKLESS, VIEW, CONFIG)


def test_splash_keeps_the_colours_of_objects():
    shown = np.asarray(splash_figure(trace(), VIEW, CONFIG).axes[0].images[0].get_array())
    np.testing.assert_array_equal(shown[:20, :10], VIEW.image[:20, :10])
    gray = cv2.cvtColor(VIEW.image, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(shown[:, 10:], gray[:, 10:, None].repeat(3, axis=2))
    nothing = np.asarray(splash_figure(trace(), VIEW, CONFIG, 0.7).axes[0].images[0].get_array())
    np.testing.assert_array_equal(nothing, gray[..., None].repeat(3, axis=2))


def test_the_image_as_it_is():
    np.testing.assert_array_equal(image_figure(VIEW).axes[0].images[0].get_array(), VIEW.image)


def test_masks_as_they_come_and_as_they_are_pasted():
    # Of 20 × 20 pixels the left half.
    assert texts(mask_figure(trace(), VIEW, CONFIG)) == ["cat 0.60", "28 × 28: 0.00 … 1.00", "200 pixels"]
    assert texts(mask_figure(without_detections(trace()), VIEW, CONFIG)) == ["nothing was found"]


def test_masks_of_other_classes():
    assert texts(class_mask_figure(trace(), NAMES)) == ["cat", "its class", "dog", "owl"]
    assert texts(class_mask_figure(trace(), NAMES, classes=1)) == ["cat", "its class"]
    assert texts(class_mask_figure(without_detections(trace()), NAMES)) == ["nothing was found"]


def test_the_own_class_is_among_those_that_are_shown():
    found = trace()
    owl = found._replace(mask_rois=found.mask_rois._replace(labels=np.array([[2, 0]], np.int32)))
    assert texts(class_mask_figure(owl, NAMES, classes=2)) == ["cat", "owl", "its class"]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([20, 10, 40, 30], (16, 6, 44, 34)),  # a tenth of 20 and two pixels more
        ([0, 0, 60, 40], (0, 0, 60, 40)),
        ([70, 50, 80, 60], (59, 39, 60, 40)),  # outside: one pixel
    ],
)
def test_surroundings_of_a_box(box, expected):
    assert surroundings(VIEW, np.array(box, np.float32)) == expected


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
