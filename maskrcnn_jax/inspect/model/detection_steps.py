"""Steps from RoIs to detections: the rules that drop some, the detections, and their masks."""

from collections.abc import Sequence

import cv2
import jax
import numpy as np
from jaxtyping import Bool, UInt8

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.draw.detections import class_name, splash
from maskrcnn_jax.inspect.colors import GRAY, Color, Ink, class_colors, label_colors
from maskrcnn_jax.inspect.model.box_head_steps import roi_probabilities, scored_names
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.panels import caption, draw_boxes, fade, legend, panel, tint
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Trace

MIN_SCORE = 0.5
"""Detections below are not drawn, as `predict` does."""
MARGIN = 0.1
"""Of a box's sides, shown around its mask, and two pixels more."""


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


def masks(seen: InspectedImage, count: int = 8) -> Step | None:
    """The masks of the `count` best detections; None without masks."""
    view, found = seen.view, seen.found
    if found.masks is None or not len(found.boxes):
        return None
    predicted = np.asarray(seen.trace.detections.masks)[0, np.asarray(seen.trace.detections.valid[0])]
    colors = label_colors(found.labels)
    texts = scored_names(seen.names, found.labels, found.scores)
    grid: tuple[list[Tile], ...] = ([], [], [])
    for index, square in enumerate(predicted[:count]):
        box = found.boxes[index]
        window = view.window(box, MARGIN * (box[2:] - box[:2]) + 2)
        region, inside = view.image[window], found.masks[index][window]
        size = "{} × {}".format(*square.shape)
        grid[0].append(Tile(region, texts[index]))
        grid[1].append(Tile(heat(square, 0.0, 1.0), f"{size}: {square.min():.2f} … {square.max():.2f}"))
        grid[2].append(Tile(cut_out(region, inside, colors[index]), f"{inside.sum():,} pixels"))
    return Step(
        "Masks",
        "For each detection the mask head predicts a square of probabilities over its box, from 0 (dark) to 1 "
        "(yellow), for boxes of any shape. Pasted into the image they are thresholded at one half.",
        [tile_figure(grid)],
    )


def class_masks(seen: InspectedImage, count: int = 8, classes: int = 6) -> Step | None:
    """The masks of at most `classes` classes for the `count` best detections; None without masks or with one class."""
    trace, names, head, total = seen.trace, seen.names, seen.config.mask_head, seen.config.num_classes
    if trace.mask_logits is None or trace.mask_rois is None or head is None or head.class_agnostic or total < 2:
        return None
    shown = np.flatnonzero(trace.mask_rois.valid[0])[:count]
    if not len(shown):
        return None
    own = np.asarray(trace.mask_rois.labels[0])[shown].tolist()
    labels = sorted(list(dict.fromkeys([*own, *range(total)]))[:classes])
    grid = []
    for label in labels:
        scores = np.asarray(jax.nn.sigmoid(trace.mask_logits[0, shown, :, :, label]))
        captions = ["its class" if label == mine else "" for mine in own]
        grid.append([Tile(heat(one, 0.0, 1.0), text) for one, text in zip(scores, captions, strict=True)])
    return Step(
        "Masks of other classes",
        "The mask head predicts a mask for every class of a box; the class that the box head chose decides which is "
        "taken.",
        [tile_figure(grid, [class_name(names, label) for label in labels])],
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


def cut_out(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], color: Color
) -> UInt8[np.ndarray, "h w 3"]:
    """An image, light and gray outside the mask, with the mask's outline in a colour."""
    gray = 255 - (255 - cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)) // 3
    drawn = np.where(mask[..., None], image, gray[..., None])
    outline = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    drawn[outline] = np.rint(255 * np.array(color))
    return drawn
