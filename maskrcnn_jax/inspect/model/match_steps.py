"""Steps on the detections of an image beside its annotated objects: precision, overlaps, errors."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.charts import INK, charts, heat_map
from maskrcnn_jax.inspect.colors import COLORS, GRAY, Ink
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.model.matches import (
    Kind,
    Outcome,
    average_precision,
    error_kinds,
    image_precision,
    match_predictions,
    precision_recall,
)
from maskrcnn_jax.inspect.panels import caption, draw_boxes, fade, legend, panel
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Array

MOST = 40
"""Predictions and objects of a matrix, at most."""
EACH = 8
"""Predictions of a kind that are drawn, at most, except `FOUND`."""
INKS = {
    Kind.FOUND: Ink(COLORS[2]),
    Kind.IGNORED: Ink(GRAY),
    Kind.LOCALISED: Ink(COLORS[0]),
    Kind.CLASS: Ink(COLORS[6]),
    Kind.BOTH: Ink(COLORS[6], ":"),
    Kind.DUPLICATE: Ink(COLORS[1]),
    Kind.NOTHING: Ink(COLORS[5]),
    Kind.MISSED: Ink(COLORS[3], "--"),
    Kind.NEAR_MISS: Ink(COLORS[0], "--"),
}


def precision(seen: InspectedImage) -> Step | None:
    """Precision over recall of the image; None without objects or detections."""
    outcome = seen.outcome
    if outcome is None or outcome.is_crowd.all() or not len(outcome.scores):
        return None
    return Step(
        "Precision and recall",
        "From the best detection to the worst: the share of them that are right, and the share of objects that are "
        f"found, by the overlap of {_compared(seen)}. Dots are measured, the line is raised to the greatest precision "
        "at a higher recall, and AP is the area below it. All classes count together.",
        [precision_figure(outcome)],
        facts={f"AP at {threshold:g}": image_precision(outcome, threshold) for threshold in (0.5, 0.75)},
    )


def overlaps(seen: InspectedImage) -> Step | None:
    """The overlap of every detection with every object; None without objects or detections."""
    outcome, annotated = seen.outcome, seen.annotated
    if outcome is None or annotated is None or not outcome.iou.size:
        return None
    return Step(
        "Overlaps",
        f"The overlap (IoU of {_compared(seen)}) of every detection with every object. ✓: the detection is matched "
        "with the object; ×: they are of different classes.",
        [overlap_figure(outcome, annotated.category_names)],
    )


def errors(seen: InspectedImage) -> Step | None:
    """The kind of error of each detection, and the missed objects; None if the objects are not known."""
    outcome, annotated = seen.outcome, seen.annotated
    if outcome is None or annotated is None:
        return None
    return Step(
        "Errors by kind",
        f"Detections with class, score and, after the slash, their best overlap of {_compared(seen)} with an object. "
        "Poorly localised: on an object of its class, with an overlap between 0.1 and 0.5. Wrong class: on an object "
        "of another class. Duplicate: a better detection is matched with the object. On nothing: overlaps no object by "
        "more than 0.1. A missed object has no detection near it; the kinds are those of TIDE. Of many errors of a "
        "kind the best are drawn.",
        [error_figure(seen.image, outcome, annotated.category_names)],
        tables=[error_table(outcome)],
    )


def _compared(seen: InspectedImage) -> str:
    return "masks" if seen.config.mask_head is not None else "boxes"


def precision_figure(outcome: Outcome, thresholds: tuple[float, ...] = (0.5, 0.75, 0.9)) -> Figure:
    """Precision over recall of one image, all classes together: a curve for each least overlap."""
    figure, [axes] = charts((6.5, 4.2))
    for threshold, color in zip(thresholds, (INK[4], INK[5], INK[3]), strict=False):
        curve = precision_recall(outcome, threshold)
        label = f"AP at IoU {threshold:g} = {average_precision(curve):.3f}"
        axes.plot(curve.recall, curve.precision, "o", color=color, markersize=3)
        steps = [0, *curve.recall], [*curve.raised[:1], *curve.raised]
        axes.step(*steps, where="pre", color=color, label=label, linewidth=1.8)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.03), ylim=(0, 1.05))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def overlap_figure(outcome: Outcome, names: Mapping[int, str]) -> Figure:
    """The overlap of every prediction with every object; matches and pairs of different classes are marked."""
    tall, wide = (min(MOST, side) for side in outcome.iou.shape)
    found = match_predictions(outcome, 0.5)
    figure, [axes] = charts((2.8 + 0.42 * max(wide, 4), 1.7 + 0.27 * max(tall, 3)))
    heat_map(axes, outcome.iou[:tall, :wide], [names[category] for category in outcome.object_categories[:wide]])
    for row, column in zip(*np.nonzero(outcome.iou[:tall, :wide] >= 0.01), strict=True):
        value = outcome.iou[row, column]
        same, match = outcome.same[row, column], found[row] == column
        text = f"{value:.2f}" + (" ✓" if match else "" if same else " ×")
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="black" if value > 0.6 else "white")
    predictions = zip(outcome.categories[:tall].tolist(), outcome.scores[:tall].tolist(), strict=True)
    axes.set_yticks(range(tall), [f"{names[category]} {score:.2f}" for category, score in predictions], fontsize=8)
    axes.set_ylabel("predictions, best first", fontsize=8)
    axes.set_xlabel("objects", fontsize=8)
    return figure


def error_figure(image: Array, outcome: Outcome, names: Mapping[int, str]) -> Figure:
    """Predictions with class, score and best overlap, coloured by kind, and the objects without a prediction.

    Of each kind except `FOUND` only the best are drawn, as many would cover the image, `[h, w, 3]` uint8 RGB.
    """
    kinds, objects = (np.array(side, object) for side in error_kinds(outcome))
    errors = np.sum((kinds != Kind.FOUND) & (kinds != Kind.IGNORED))
    found = f"{np.sum(kinds == Kind.FOUND)} of {np.sum(~outcome.is_crowd)} objects found"
    figure, axes = panel(fade(image), f"{found}, {pluralize(int(errors), 'error')}")
    drawn: list[int] = []
    explained = {}
    for kind, ink in INKS.items():
        every = np.flatnonzero(kinds == kind).tolist()
        some = every if kind == Kind.FOUND else every[:EACH]
        draw_boxes(axes, outcome.boxes[some], *ink)
        drawn += some
        if kind in (Kind.MISSED, Kind.NEAR_MISS):
            draw_boxes(axes, outcome.object_boxes[objects == kind], *ink)
        if kind in kinds or kind in objects:
            explained[str(kind) if some == every else f"{kind}: the {EACH} best of {len(every)}"] = ink
    drawn.sort()
    best = outcome.iou.max(axis=1, initial=0)[drawn]
    numbers = zip(outcome.categories[drawn].tolist(), outcome.scores[drawn], best, strict=True)
    texts = [f"{names[category]} {score:.2f} / {shared:.2f}" for category, score, shared in numbers]
    caption(axes, texts, outcome.boxes[drawn], [INKS[kinds[index]].color for index in drawn])
    legend(figure, explained)
    return figure


def error_table(outcome: Outcome) -> Table:
    """The number of predictions and objects of each kind."""
    kinds, objects = (Counter(side) for side in error_kinds(outcome))
    entries = [(str(kind), kinds[kind], objects[kind]) for kind in Kind if kinds[kind] or objects[kind]]
    return Table(("kind", "predictions", "objects"), entries, "Predictions and objects by kind")
