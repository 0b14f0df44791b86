"""Matches by hand and beside pycocotools; precision and recall by hand; TIDE's kinds by its definitions."""

import math
from collections import Counter

import numpy as np
import pytest
from examples import example
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.inspect.model.matches import (
    Curve,
    Kind,
    Outcome,
    average_precision,
    compare_results,
    error_kinds,
    image_precision,
    match_predictions,
    precision_recall,
)
from maskrcnn_jax.masks.rle import encode_mask


def outcome(iou, predicted, objects, crowd=None) -> Outcome:
    """Predictions with falling scores, of which only overlaps and categories matter."""
    shared = np.array(iou, float).reshape(len(predicted), len(objects))
    scores = np.linspace(0.9, 0.5, len(predicted))
    crowd = np.zeros(len(objects), bool) if crowd is None else np.array(crowd)
    boxes = np.zeros((len(predicted), 4)), np.zeros((len(objects), 4))
    return Outcome(boxes[0], scores, np.array(predicted, int), boxes[1], np.array(objects, int), crowd, shared)


def test_the_best_chooses_first_and_an_object_is_matched_once():
    # The first takes object 1, its best; the second, which overlaps it more, has to take object 0.
    found = match_predictions(outcome([[0.6, 0.7], [0.55, 0.9], [0.8, 0.8]], [1, 1, 1], [1, 1]), 0.5)
    assert found.tolist() == [1, 0, -1]


def test_the_threshold_itself_is_enough_and_classes_do_not_meet():
    assert match_predictions(outcome([[0.5], [0.49]], [1, 1], [1]), 0.5).tolist() == [0, -1]
    assert match_predictions(outcome([[0.9]], [2], [1]), 0.5).tolist() == [-1]
    assert match_predictions(outcome([[1.0]], [1], [1]), 1.0).tolist() == [0]


def test_a_crowd_takes_what_no_object_takes_and_never_fills():
    found = match_predictions(outcome([[0.9, 0.6], [0.8, 0.6], [0.7, 0.1]], [1, 1, 1], [1, 1], [True, False]), 0.5)
    assert found.tolist() == [1, 0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_matches_are_those_of_pycocotools(seed: int):
    """Random boxes of two classes, some of them crowds, at three thresholds."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 40, (6, 2))
    boxes = np.concatenate([corners, rng.uniform(10, 40, (6, 2))], axis=1)
    near = boxes[rng.integers(0, 6, 15)] + rng.normal(0, 4, (15, 4))
    objects = [
        {"id": k + 1, "image_id": 1, "category_id": int(k % 2), "bbox": box, "iscrowd": int(k == 5), "area": 100.0}
        for k, box in enumerate(boxes.tolist())
    ]
    results = [
        {"image_id": 1, "category_id": int(k % 2), "bbox": box, "score": float(0.99 - k / 50)}
        for k, box in enumerate(near.tolist())
    ]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1, "height": 100, "width": 100}],
        "annotations": objects,
        "categories": [{"id": 0}, {"id": 1}],
        "info": {},
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes([dict(entry) for entry in results]), "bbox")
    evaluation.evaluate()
    mine = compare_results(results, objects, masks=False)
    for place, threshold in ((0, 0.5), (5, 0.75), (9, 0.95)):
        expected = np.full(15, -1)
        for image in evaluation.evalImgs[::4]:  # the first of four areas, by category
            for detection, match in zip(image["dtIds"], image["dtMatches"][place], strict=True):
                expected[detection - 1] = int(match) - 1
        assert match_predictions(mine, threshold).tolist() == expected.tolist()


def test_precision_and_recall_by_hand():
    # Four predictions, right, wrong, right, on a crowd; three objects and a crowd:
    # precision 1/1, 1/2, 2/3; recall 1/3, 1/3, 2/3; the crowd's prediction does not count.
    # AP: 1/3 × 1 + 0 × 2/3 + 1/3 × 2/3 = 5/9
    iou = [[0.9, 0, 0, 0], [0.2, 0, 0, 0], [0, 0.8, 0, 0], [0, 0, 0, 1]]
    made = outcome(iou, [1] * 4, [1] * 4, [False, False, False, True])
    curve = precision_recall(made, 0.5)
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [1 / 3, 1 / 3, 2 / 3])
    assert image_precision(made, 0.5) == pytest.approx(5 / 9)


def test_precision_is_raised_to_the_best_at_higher_recall():
    # wrong, right, right: precision 0, 1/2, 2/3, raised to 2/3 everywhere; recall 0, 1/2, 1
    assert average_precision(Curve(np.array([0, 0.5, 2 / 3]), np.array([0, 0.5, 1]))) == pytest.approx(2 / 3)


def test_precision_where_there_is_nothing():
    assert math.isnan(image_precision(outcome([[1.0]], [1], [1], [True]), 0.5))  # a crowd is no object
    assert math.isnan(image_precision(outcome([], [], []), 0.5))
    assert image_precision(outcome([], [], [1]), 0.5) == 0
    assert np.isnan(precision_recall(outcome([], [1], []), 0.5).recall).all()


def test_kinds_of_errors_by_their_definitions():
    """Objects: 0 and 1 of class 1, 2 of class 2, 3 of class 1 far away."""
    iou = [
        [0.9, 0.0, 0.2, 0.0],  # found: 0
        [0.7, 0.0, 0.0, 0.0],  # on an object that is taken
        [0.0, 0.3, 0.0, 0.0],  # on 1, between 0.1 and 0.5
        [0.0, 0.0, 0.6, 0.0],  # on 2, which is of class 2
        [0.0, 0.0, 0.3, 0.0],  # near 2, of class 2
        [0.05, 0.0, 0.1, 0.0],  # on nothing: 0.1 is still nothing
    ]
    kinds, objects = error_kinds(outcome(iou, [1] * 6, [1, 1, 2, 1]))
    assert kinds == [Kind.FOUND, Kind.DUPLICATE, Kind.LOCALISED, Kind.CLASS, Kind.BOTH, Kind.NOTHING]
    assert objects == [Kind.FOUND, Kind.NEAR_MISS, Kind.NEAR_MISS, Kind.MISSED]


def test_the_order_of_the_tests():
    """Poorly localised and of the wrong class counts as the first, as in TIDE's code."""
    assert error_kinds(outcome([[0.3, 0.8]], [1], [1, 2]))[0] == [Kind.LOCALISED]
    # of class 1 on a taken object and on one of class 2: the class comes before the duplicate
    assert error_kinds(outcome([[0.9, 0.0], [0.7, 0.6]], [1, 1], [1, 2]))[0] == [Kind.FOUND, Kind.CLASS]


def test_an_object_that_another_prediction_has_is_found():
    kinds, objects = error_kinds(outcome([[0.9], [0.3]], [1, 1], [1]))
    assert (kinds, objects) == ([Kind.FOUND, Kind.LOCALISED], [Kind.FOUND])


TIDE = (
    ("BFCNBLLLNLLF", "....."),
    ("FNDFCFLLBBLL", "....."),
    ("BBFLFBBLBCLB", "M...M"),
    ("LFLBBLDLLLBL", "...M."),
    ("BLFFBFFLLDLD", ".M..."),
    ("LCNLLLLFLCCF", "....."),
    ("LLLFBBCLLLNF", ".M..."),
    ("FNFLCDBLLBLL", ".M..."),
    ("BBBLBLLLFLCL", "...M."),
    ("BNFCBBLFFLDB", "....."),
    ("BLFCLLLBLLLF", "....."),
    ("BCBCBBLBBCCL", "M..M."),
)
"""What tidecv 1.0.1 gives for the images of the next test: of each prediction, and which objects are missed."""
LETTERS = {
    Kind.FOUND: "F",
    Kind.LOCALISED: "L",
    Kind.CLASS: "C",
    Kind.BOTH: "B",
    Kind.DUPLICATE: "D",
    Kind.NOTHING: "N",
    Kind.MISSED: "M",
}


@pytest.mark.parametrize(("seed", "expected"), list(enumerate(TIDE)))
def test_kinds_of_errors_are_those_of_tidecv(seed: int, expected: tuple[str, str]):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (5, 2))
    boxes = np.concatenate([corners, rng.uniform(10, 40, (5, 2))], axis=1)
    near = boxes[rng.integers(0, 5, 12)] + rng.normal(0, 6, (12, 4))
    classes, predicted = rng.integers(0, 2, 5), rng.integers(0, 2, 12)
    objects = [{"category_id": c, "bbox": box, "iscrowd": 0} for c, box in zip(classes, boxes.tolist(), strict=True)]
    results = [{"category_id": c, "bbox": box, "score": 0.5} for c, box in zip(predicted, near.tolist(), strict=True)]
    kinds, of_objects = error_kinds(compare_results(results, objects, masks=False))
    missed = "".join("M" if kind == Kind.MISSED else "." for kind in of_objects)
    assert ("".join(LETTERS[kind] for kind in kinds), missed) == expected


def test_crowds_are_neither_missed_nor_errors():
    kinds, objects = error_kinds(outcome([[0.9], [0.05]], [1, 1], [1], [True]))
    assert (kinds, objects) == ([Kind.IGNORED, Kind.NOTHING], [Kind.IGNORED])


def test_kinds_without_predictions_or_objects():
    assert error_kinds(outcome([], [], [1, 2])) == ([], [Kind.MISSED] * 2)
    assert error_kinds(outcome([], [1, 2], [])) == ([Kind.NOTHING] * 2, [])


def test_overlaps_of_masks_and_of_boxes():
    # The mask is the left half of the object's box, 4 × 6 of 8 × 6 pixels.
    half = np.zeros((40, 60), np.uint8)
    half[3:9, 2:6] = 1
    [whole] = example((1, (2, 3, 10, 9))).masks
    objects = [{"category_id": 5, "bbox": [2, 3, 8, 6], "iscrowd": 0, "segmentation": encode_mask(whole)}]
    result = {"category_id": 5, "score": 0.9, "bbox": [2.0, 3.0, 8.0, 6.0], "segmentation": encode_mask(half)}
    assert compare_results([result], objects, masks=True).iou.tolist() == [[0.5]]
    boxes = compare_results([result], objects, masks=False)
    assert boxes.iou.tolist() == [[1.0]]
    assert boxes.boxes.tolist() == boxes.object_boxes.tolist() == [[2, 3, 10, 9]]
    objects[0]["iscrowd"] = 1
    assert compare_results([result], objects, masks=True).iou.tolist() == [[1.0]]  # all of it lies in the crowd
    assert compare_results([], objects, masks=True).iou.shape == (0, 1)


def test_every_prediction_and_object_is_of_one_kind():
    rng = np.random.default_rng(0)
    for _ in range(200):
        predictions, objects = rng.integers(0, 7, 2)
        iou = rng.uniform(0, 1, (predictions, objects)) ** 2
        crowd = rng.random(objects) < 0.2
        kinds, of_objects = error_kinds(
            outcome(iou, rng.integers(0, 2, predictions), rng.integers(0, 2, objects), crowd)
        )
        assert len(kinds) == predictions and len(of_objects) == objects
        assert Counter(kinds)[Kind.FOUND] == Counter(of_objects)[Kind.FOUND]
        assert Counter(of_objects)[Kind.IGNORED] == crowd.sum()
