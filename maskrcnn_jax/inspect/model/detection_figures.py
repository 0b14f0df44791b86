"""From rois to detections: what each rule drops, and what is left."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.draw.detections import class_name, splash
from maskrcnn_jax.inspect.captions import caption
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.model.head_figures import by_label, roi_probabilities, scored_names
from maskrcnn_jax.inspect.model.subject import View, full, in_view
from maskrcnn_jax.inspect.panels import GRAY, Ink, class_colors, draw_boxes, fade, legend, panels, show, tint
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Trace


def filter_table(trace: Trace, config: ModelConfig) -> Table:
    """How many are left after each rule on the way from rois to detections.

    Args:
        trace: of one picture.
        config: of the network.
    """
    likely, rule, pairs = roi_probabilities(trace), config.detect, trace.pairs
    positive = likely.argmax(axis=1) < config.num_classes
    passing = (likely[:, : config.num_classes] > rule.score_threshold).sum()
    if rule.best_class_only:
        passing = (positive & (likely.max(axis=1) > rule.score_threshold)).sum()
    rows = [
        ("rois", len(likely), "proposals that are no padding"),
        ("likely objects", int(positive.sum()), "rois whose most likely class is not background"),
        ("pairs above the threshold", int(passing), f"a roi and a class of probability above {rule.score_threshold}"),
        ("pairs that enter suppression", int(pairs.valid[0].sum()), f"at most {rule.top_k}, with an area"),
        ("kept", int(pairs.keep[0].sum()), f"of a class, no better pair overlaps by more than {rule.nms_iou}"),
        ("detections", int(trace.detections.valid[0].sum()), f"the {rule.count} best at most"),
    ]
    return Table(("left", "number", "rule"), rows, "From rois to detections")


def class_suppression_table(trace: Trace, names: Sequence[str], most: int = 15) -> Table:
    """Of each class, which rois enter suppression and which it keeps, best first.

    Args:
        trace: of one picture.
        names: one per class.
        most: rois that are listed.
    """
    pairs = trace.pairs
    valid, keep = np.asarray(pairs.valid[0]), np.asarray(pairs.keep[0])
    labels, roi = np.asarray(pairs.labels[0]), np.asarray(pairs.roi_index[0])
    rows = []
    for label in np.unique(labels[valid]).tolist():
        mine = labels == label
        into, out = roi[valid & mine].tolist(), roi[keep & mine].tolist()
        rows.append((class_name(names, label), len(into), len(out), _list(into, most), _list(out, most)))
    columns = ("class", "pairs", "kept", "rois that enter", "rois that are kept")
    return Table(columns, rows, "Suppression class by class")


def _list(numbers: Sequence[int], most: int) -> str:
    return " ".join(f"#{number}" for number in numbers[:most]) + (" …" if len(numbers) > most else "")


def class_suppression_figure(trace: Trace, view: View, names: Sequence[str], count: int = 100) -> Figure:
    """The best pairs of roi and class: coloured those that suppression keeps, gray and dashed those that it drops.

    Args:
        trace: of one picture.
        view: of the same picture.
        names: one per class.
        count: pairs.
    """
    pairs = trace.pairs
    valid = np.asarray(pairs.valid[0])
    some = np.flatnonzero(valid)[:count]
    keep = np.asarray(pairs.keep[0])[some]
    kept, dropped = some[keep], some[~keep]
    boxes, labels = view.place(pairs.boxes[0]), np.asarray(pairs.labels[0])
    colors = by_label(labels[kept])
    figure, [axes] = panels(1, 1, view.image.shape)
    which = f"the {len(some)} best of {valid.sum()}" if valid.sum() > len(some) else f"{len(some)}"
    show(axes, fade(view.image), f"Of {which} pairs {len(kept)} are kept and {len(dropped)} dropped")
    draw_boxes(axes, boxes[dropped], [GRAY] * len(dropped), "--", 0.6)
    draw_boxes(axes, boxes[kept], colors)
    caption(axes, scored_names(names, labels[kept], pairs.scores[0][kept]), boxes[kept], colors)
    classes = class_colors(labels[kept].tolist())
    inks = {f"{class_name(names, label)}, kept": Ink(color) for label, color in classes.items()}
    legend(figure, inks | ({"dropped": Ink(GRAY, "--")} if len(dropped) else {}))
    return figure


def picture_figure(view: View) -> Figure:
    """The picture inside the network's input."""
    figure, [axes] = panels(1, 1, view.image.shape)
    height, width = view.image.shape[:2]
    show(axes, view.image, f"{height} × {width} pixels")
    return figure


def detection_figure(trace: Trace, view: View, config: ModelConfig, min_score: float = 0.0) -> Figure:
    """The detections over the picture: masks, boxes, classes and scores; the best lies on top.

    Args:
        trace: of one picture.
        view: of the same picture.
        config: of the network.
        min_score: detections below are left out.
    """
    found = in_view(trace, view, config)
    best = np.flatnonzero(found.scores >= min_score)
    colors, shape = by_label(found.labels[best]), view.image.shape[:2]
    figure, [axes] = panels(1, 1, view.image.shape)
    bound = f" with a score of {min_score} or more" if min_score else ""
    show(axes, view.image, pluralize(len(best), "detection") + bound)
    if found.masks is not None:
        tint(axes, (full(found.masks[row], shape) for row in best[::-1].tolist()), colors[::-1])
    draw_boxes(axes, found.boxes[best][::-1], colors[::-1])
    caption(axes, scored_names(config.class_names, found.labels[best], found.scores[best]), found.boxes[best], colors)
    return figure


def splash_figure(trace: Trace, view: View, config: ModelConfig, min_score: float = 0.0) -> Figure:
    """The picture in gray, with its colours where an object is.

    Args:
        trace: of one picture.
        view: of the same picture.
        config: of the network.
        min_score: detections below leave no colour.

    Raises:
        ValueError: the network has no mask head.
    """
    figure, [axes] = panels(1, 1, view.image.shape)
    show(axes, splash(view.image, in_view(trace, view, config), min_score=min_score))
    return figure
