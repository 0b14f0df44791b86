"""Why two systems chose differently: the comparisons whose results differ, and by how much.

Greedy suppression depends only on comparisons: whether an item enters, which of two is better, whether two overlap by
more than the threshold, whether an item is among the best that are kept. If all results are equal, so is the choice. So
behind each item that only one system chose there is a comparison with different results; it is a near-tie if its two
sides are almost equal in both systems.
"""

from typing import NamedTuple

import numpy as np


class Choice(NamedTuple):
    """One system's choice among the same `n` items."""

    boxes: np.ndarray
    """`[n, 4]`: the input of suppression."""
    scores: np.ndarray
    """`[n]`"""
    enters: np.ndarray
    """`[n]` bool: the item takes part in suppression."""
    survives: np.ndarray
    """`[n]` bool: suppression kept it."""
    chosen: np.ndarray
    """`[n]` bool: it is among the best that are kept."""


class Ties(NamedTuple):
    """The closest comparison with different results behind each item that only one system chose."""

    items: np.ndarray
    """`[d]`: which items differ."""
    score_gap: float
    """Largest difference of scores that were ordered differently, or on two sides of an entry threshold or a cut."""
    iou_gap: float
    """Largest distance from the threshold of an IoU that was on two sides of it."""
    unexplained: list[int]
    """Items for which no such comparison was found."""


def explain(
    a: Choice, b: Choice, group: np.ndarray, iou_threshold: float, entry: np.ndarray, given: np.ndarray
) -> Ties:
    """Finds the near-ties behind all differences of two choices.

    Args:
        a: one system's choice.
        b: the other's.
        group: `[n]`: items suppress each other within a group.
        iou_threshold: of suppression.
        entry: `[n]`: the score that an item must have to enter.
        given: `[n]` bool: the item enters in only one system for a known reason.
    """
    differing = np.flatnonzero(a.survives != b.survives)
    score_gaps, iou_gaps, unexplained = [0.0], [0.0], []
    for item in differing[~given[differing]]:
        if a.enters[item] != b.enters[item]:
            score_gaps.append(abs((a if a.enters[item] else b).scores[item] - entry[item]))
            continue
        others = np.flatnonzero((group == group[item]) & (a.enters | b.enters))
        others = others[others != item]
        iou_a, iou_b = (_iou(c.boxes[item], c.boxes[others]) for c in (a, b))
        better_a, better_b = (c.scores[others] > c.scores[item] for c in (a, b))
        overlap = (iou_a > iou_threshold) | (iou_b > iou_threshold)
        split = ((iou_a > iou_threshold) != (iou_b > iou_threshold)) & (better_a | better_b)
        swapped = overlap & (better_a != better_b)
        if split.any():
            iou_gaps.append(np.maximum(np.abs(iou_a - iou_threshold), np.abs(iou_b - iou_threshold))[split].min())
        elif swapped.any():
            gap = np.maximum(*(np.abs(c.scores[others] - c.scores[item]) for c in (a, b)))
            score_gaps.append(gap[swapped].min())
        elif not (
            overlap & (a.survives[others] != b.survives[others])
        ).any():  # else the other item's reason explains this one
            unexplained.append(int(item))
    # The cut shifts by at most the number of other differences.
    cut = np.flatnonzero((a.chosen != b.chosen) & a.survives & b.survives)
    for item in cut:
        lacking, having = (a, b) if b.chosen[item] else (b, a)
        last = lacking.scores[lacking.chosen].min()
        between = lacking.survives & (lacking.scores >= lacking.scores[item]) & (lacking.scores <= last)
        if between.sum() > len(differing) + 2:
            unexplained.append(int(item))
        elif not len(differing):
            score_gaps.append(abs(last - having.scores[item]))
    return Ties(np.flatnonzero(a.chosen != b.chosen), max(score_gaps), max(iou_gaps), unexplained)


def _iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    side = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0)
    shared = side[:, 0] * side[:, 1]
    area, areas = (box[2] - box[0]) * (box[3] - box[1]), (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return shared / (area + areas - shared)
