"""Steps from RoIs to detections: the rules that drop some, and the detections."""

from collections.abc import Sequence

import numpy as np

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.draw.detections import class_name, splash
from maskrcnn_jax.inspect.captions import caption
from maskrcnn_jax.inspect.colors import GRAY, Ink, class_colors, label_colors
from maskrcnn_jax.inspect.model.box_head_steps import roi_probabilities, scored_names
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.panels import draw_boxes, fade, legend, panel, tint
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Trace

MIN_SCORE = 0.5
"""Detections below are not drawn, as `predict` does."""


def class_suppression(seen: InspectedImage, count: int = 100) -> Step:
    """The numbers that each rule drops, and the `count` best pairs of a RoI and a class, kept or dropped."""
    trace, view, names = seen.trace, seen.view, seen.names
    pairs = trace.pairs
    valid = np.asarray(pairs.valid[0])
    some = np.flatnonzero(valid)[:count]
    keep = np.asarray(pairs.keep[0])[some]
    kept, dropped = some[keep], some[~keep]
    boxes, labels = view.place(pairs.boxes[0]), np.asarray(pairs.labels[0])
    colors = label_colors(labels[kept])
    which = f"the {len(some)} best of {valid.sum()}" if valid.sum() > len(some) else f"{len(some)}"
    title = f"Of {which} pairs {len(kept)} are kept and {len(dropped)} dropped"
    figure, axes = panel(fade(view.image), title)
    draw_boxes(axes, boxes[dropped], GRAY, "--", 0.6)
    draw_boxes(axes, boxes[kept], colors)
    caption(axes, scored_names(names, labels[kept], pairs.scores[0][kept]), boxes[kept], colors)
    classes = class_colors(labels[kept].tolist())
    inks = {f"{class_name(names, label)}, kept": Ink(color) for label, color in classes.items()}
    legend(figure, inks | ({"dropped": Ink(GRAY, "--")} if len(dropped) else {}))
    return Step(
        "Suppression class by class",
        "Pairs of a RoI and a class whose probability passes the threshold. Of two pairs of one class that overlap too "
        "much the better one is kept (coloured) and the other dropped (gray, dashed); pairs of different classes do "
        "not compete.",
        [figure],
        tables=[filter_table(trace, seen.config), class_suppression_table(trace, names)],
    )


def detections(seen: InspectedImage, min_score: float = MIN_SCORE) -> Step:
    """The detections with a score of at least `min_score` over the image; the best on top."""
    found = seen.found
    best = np.flatnonzero(found.scores >= min_score)
    colors = label_colors(found.labels[best])
    title = f"{pluralize(len(best), 'detection')} with a score of {min_score} or more"
    figure, axes = panel(seen.view.image, title)
    if found.masks is not None:
        tint(axes, found.masks[best][::-1], colors[::-1])
    draw_boxes(axes, found.boxes[best][::-1], colors[::-1])
    caption(axes, scored_names(seen.names, found.labels[best], found.scores[best]), found.boxes[best], colors)
    return Step(
        "Detections",
        f"What is left, with class and score; detections below {min_score} are not drawn."
        + ("" if len(found.scores) else " Nothing was found."),
        [figure],
        facts={
            "Detections": len(found.scores),
            "Threshold": seen.config.detect.score_threshold,
            f"{min_score} or more": len(best),
        },
    )


def color_splash(seen: InspectedImage, min_score: float = MIN_SCORE) -> Step | None:
    """The image in gray, with its colours where an object is; None without masks."""
    found = seen.found
    if found.masks is None or not len(found.scores):
        return None
    figure, _ = panel(splash(seen.view.image, found, min_score=min_score))
    return Step("Colour splash", f"Gray where no object with a score of {min_score} or more is.", [figure])


def filter_table(trace: Trace, config: ModelConfig) -> Table:
    """The number of RoIs, pairs and detections of a trace of one image after each rule."""
    likely, rule, pairs = roi_probabilities(trace), config.detect, trace.pairs
    positive = likely.argmax(axis=1) < config.num_classes
    passing = (likely[:, : config.num_classes] > rule.score_threshold).sum()
    if rule.best_class_only:
        passing = (positive & (likely.max(axis=1) > rule.score_threshold)).sum()
    entries = [
        ("RoIs", len(likely), "proposals that are not padding"),
        ("likely objects", int(positive.sum()), "RoIs whose most likely class is not background"),
        ("pairs above the threshold", int(passing), f"a RoI and a class of probability above {rule.score_threshold}"),
        ("pairs that enter suppression", int(pairs.valid[0].sum()), f"at most {rule.top_k}, with an area"),
        ("kept", int(pairs.keep[0].sum()), f"of a class, no better pair overlaps by more than {rule.nms_iou}"),
        ("detections", int(trace.detections.valid[0].sum()), f"the {rule.count} best at most"),
    ]
    return Table(("left", "number", "rule"), entries, "From RoIs to detections")


def class_suppression_table(trace: Trace, names: Sequence[str], most: int = 15) -> Table:
    """The RoIs of each class that enter suppression and that it keeps, best first; at most `most` are listed."""
    pairs = trace.pairs
    valid, keep = np.asarray(pairs.valid[0]), np.asarray(pairs.keep[0])
    labels, roi = np.asarray(pairs.labels[0]), np.asarray(pairs.roi_index[0])
    entries = []
    for label in np.unique(labels[valid]).tolist():
        mine = labels == label
        into, out = roi[valid & mine].tolist(), roi[keep & mine].tolist()
        entries.append((class_name(names, label), len(into), len(out), _list(into, most), _list(out, most)))
    columns = ("class", "pairs", "kept", "RoIs that enter", "RoIs that are kept")
    return Table(columns, entries, "Suppression class by class")


def _list(numbers: Sequence[int], most: int) -> str:
    return " ".join(f"#{number}" for number in numbers[:most]) + (" …" if len(numbers) > most else "")
