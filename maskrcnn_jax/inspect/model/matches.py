"""Predictions of an image compared with its objects: overlaps, matches, precision and recall, kinds of errors."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as rle
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.prediction.coco_results import CocoResult

FOREGROUND, BACKGROUND = 0.5, 0.1
"""TIDE's thresholds: from the first on a prediction is on an object, up to the second it is on none."""


class Kind(StrEnum):
    """The kind of a prediction, or of an object without a prediction."""

    FOUND = "found"
    IGNORED = "on a crowd"
    LOCALISED = "poorly localised"
    CLASS = "wrong class"
    BOTH = "wrong class, poorly localised"
    DUPLICATE = "duplicate"
    NOTHING = "on nothing"
    MISSED = "missed"
    NEAR_MISS = "not found, a prediction is near"


class Outcome(NamedTuple):
    """Predictions of an image, best first, and its objects; pixels of the image, categories of the data set."""

    boxes: np.ndarray
    """`[D, 4]` (x0, y0, x1, y1)."""
    scores: np.ndarray
    """`[D]`."""
    categories: np.ndarray
    """`[D]`."""
    object_boxes: np.ndarray
    """`[G, 4]`."""
    object_categories: np.ndarray
    """`[G]`."""
    is_crowd: np.ndarray
    """`[G]` bool."""
    iou: np.ndarray
    """`[D, G]` of masks, or of boxes where there are none; of a crowd, the share of the prediction that it covers."""

    @property
    def same(self) -> np.ndarray:
        """`[D, G]` bool: the prediction has the object's category."""
        return self.categories[:, None] == self.object_categories[None]


def compare_results(results: Sequence[CocoResult], objects: Sequence[Mapping[str, Any]], *, masks: bool) -> Outcome:
    """Overlaps of masks, or boxes, of an image's predictions, best first, and its objects, as in COCO's evaluation."""
    key = "segmentation" if masks else "bbox"
    crowd = [int(entry["iscrowd"]) for entry in objects]
    shared = np.zeros((len(results), len(objects)))
    if shared.size:
        shared = np.asarray(rle.iou([entry[key] for entry in results], [entry[key] for entry in objects], crowd))
    scores = np.array([entry["score"] for entry in results], np.float64)
    (boxes, categories), (object_boxes, object_categories) = map(_boxes_and_categories, (results, objects))
    return Outcome(boxes, scores, categories, object_boxes, object_categories, np.array(crowd, bool), shared)


def match_predictions(outcome: Outcome, threshold: float) -> Int[np.ndarray, " d"]:
    """The object of its class that each prediction is matched with, −1 for none: the best predictions first.

    An object is matched once; a crowd takes any number of predictions that are not matched with an object.

    Source: pycocotools `COCOeval.evaluateImg`.
    """
    found = np.full(len(outcome.scores), -1)
    free = np.ones(len(outcome.is_crowd), bool)
    possible = outcome.same & (outcome.iou >= min(threshold, 1 - 1e-10))
    for index, row in enumerate(possible):
        for choice in (row & free & ~outcome.is_crowd, row & outcome.is_crowd):
            if choice.any():
                found[index] = np.where(choice, outcome.iou[index], -1).argmax()
                free[found[index]] = False
                break
    return found


class Curve(NamedTuple):
    """Precision and recall of the best prediction, the best two, and so on; predictions on crowds do not count."""

    precision: np.ndarray
    recall: np.ndarray
    """NaN where there are no objects."""

    @property
    def raised(self) -> np.ndarray:
        """Each precision raised to the greatest at a higher recall."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]


def precision_recall(outcome: Outcome, threshold: float) -> Curve:
    """The curve of all predictions of an image, all classes together; see `match_predictions`."""
    found = match_predictions(outcome, threshold)
    on_crowd = np.isin(found, np.flatnonzero(outcome.is_crowd))
    true = np.cumsum(found[~on_crowd] >= 0)
    objects = np.count_nonzero(~outcome.is_crowd)
    recall = true / objects if objects else np.full(len(true), np.nan)
    return Curve(true / np.arange(1, len(true) + 1), recall)


def average_precision(curve: Curve) -> float:
    """The area below the curve, each precision raised to the greatest at a higher recall; NaN without objects.

    Source: PASCAL VOC 2010, all points.
    """
    return float(np.sum(curve.raised * np.diff(curve.recall, prepend=0.0)))


def image_precision(outcome: Outcome, threshold: float) -> float:
    """Average precision of one image, all classes together; NaN if it has no object."""
    if outcome.is_crowd.all():
        return float("nan")
    return average_precision(precision_recall(outcome, threshold))


def error_kinds(outcome: Outcome) -> tuple[list[Kind], list[Kind]]:
    """The kind of every prediction, and of every object: found, a crowd, missed, or missed by one error.

    A prediction without a match is tested for one kind after the other: it overlaps an object of its class too
    little; it is on an object of another class; on one of its class that is matched with a better prediction; on none.

    Source: TIDE (Bolya et al. 2020), section 2.2, in the order of its code.
    """
    found = match_predictions(outcome, FOREGROUND)
    usable = ~outcome.is_crowd
    own = np.where(outcome.same & usable, outcome.iou, 0.0)
    other = np.where(~outcome.same & usable, outcome.iou, 0.0)
    taken = np.isin(np.arange(len(usable)), found)
    objects = [Kind.FOUND if is_taken else Kind.MISSED for is_taken in taken]
    kinds = []
    for index, slot in enumerate(found.tolist()):
        if slot >= 0:
            kinds.append(Kind.FOUND if usable[slot] else Kind.IGNORED)
            continue
        kind, near = _error(own[index], other[index], taken)
        kinds.append(kind)
        if near is not None and not taken[near]:
            objects[near] = Kind.NEAR_MISS
    return kinds, [kind if is_usable else Kind.IGNORED for kind, is_usable in zip(objects, usable, strict=True)]


def _error(
    own: Float[np.ndarray, " g"], other: Float[np.ndarray, " g"], taken: Bool[np.ndarray, " g"]
) -> tuple[Kind, int | None]:
    """The error of a prediction, and the object that it would match without it."""
    if BACKGROUND <= own.max(initial=0) <= FOREGROUND:
        return Kind.LOCALISED, int(own.argmax())
    if other.max(initial=0) >= FOREGROUND:
        return Kind.CLASS, int(other.argmax())
    if (own * taken).max(initial=0) >= FOREGROUND:
        return Kind.DUPLICATE, None
    if max(own.max(initial=0), other.max(initial=0)) <= BACKGROUND:
        return Kind.NOTHING, None
    return Kind.BOTH, None


def _boxes_and_categories(
    entries: Sequence[Mapping[str, Any]],
) -> tuple[Float[np.ndarray, "n 4"], Int[np.ndarray, " n"]]:
    boxes = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, np.array([entry["category_id"] for entry in entries], np.int64)
