"""Steps on the box head: levels, features, classes and refined boxes of RoIs."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.draw.detections import class_name
from maskrcnn_jax.inspect.charts import charts, heat_map
from maskrcnn_jax.inspect.colors import COLORS, GRAY, label_colors
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.panels import WIDTH, caption, draw_boxes, draw_refined, fade, panel, panels, show
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.model.mask_rcnn import ModelConfig
from maskrcnn_jax.structs import Trace


def roi_levels(seen: InspectedImage, count: int = 60) -> Step:
    """The pyramid level of each RoI; of each level the best `count` are drawn."""
    trace, view = seen.trace, seen.view
    names, strides = seen.config.level_names, seen.config.strides
    levels, valid = np.asarray(trace.roi_levels[0]), np.asarray(trace.rois.valid[0])
    pooled = np.unique(levels[valid]).tolist() or [0]
    figure, grid = panels(len(pooled), 4, view.image.shape)
    for level, axes in zip(pooled, grid, strict=True):
        mine = np.flatnonzero(valid & (levels == level))
        which = f"{count} of {len(mine)}" if len(mine) > count else str(len(mine))
        show(axes, fade(view.image), f"{names[level]}, a cell every {strides[level]} pixels; RoIs: {which}")
        boxes = view.place(trace.rois.boxes[0])[mine[:count]]
        draw_boxes(axes, boxes, COLORS[level], width=0.8)
    return Step(
        "Levels of RoIs",
        "Every proposal is a region of interest, a RoI. Its features are pooled from the level that fits its size: the "
        "larger a RoI, the coarser its level.",
        [figure],
        tables=[roi_level_table(trace, seen.config)],
    )


def roi_features(seen: InspectedImage, count: int = 8) -> Step:
    """The features of `count` RoIs: of the best detections, then of the best proposals."""
    trace, view = seen.trace, seen.view
    found = trace.pairs.roi_index[0][np.asarray(trace.pairs.keep[0])].tolist()
    rois = list(dict.fromkeys([*found, *np.flatnonzero(trace.rois.valid[0]).tolist()]))[:count]
    if not rois:
        return Step("Features of RoIs", "There is no RoI.")
    windows = [view.window(box) for box in view.place(trace.rois.boxes[0, rois])]
    names = [f"RoI {roi}, {seen.config.level_names[trace.roi_levels[0, roi]]}" for roi in rois]
    features = np.asarray(trace.roi_features[0, rois], np.float32)
    busiest = np.argsort(-features.std(axis=(0, 1, 2)))[:2].tolist()
    grid = [
        [Tile(view.image[window], name) for window, name in zip(windows, names, strict=True)],
        [Tile(heat(np.abs(one).mean(axis=2)), "mean magnitude") for one in features],
        *([Tile(heat(one[..., channel]), f"channel {channel}") for one in features] for channel in busiest),
    ]
    return Step(
        "Features of RoIs",
        "The box head gets a square of features of one size for every RoI. Above, the RoIs in the image; below, "
        "the mean magnitude of their features and the two channels that vary most among them.",
        [tile_figure(grid)],
    )


def roi_classes(seen: InspectedImage, count: int = 200, seed: int = 0) -> Step:
    """The most likely classes of `count` random RoIs."""
    trace, view, names = seen.trace, seen.view, seen.names
    likely = roi_probabilities(trace)
    boxes = view.place(trace.rois.boxes[0])[np.asarray(trace.rois.valid[0])]
    some = np.sort(np.random.default_rng(seed).permutation(len(boxes))[:count])
    labels, scores, background = likely.argmax(axis=1), likely.max(axis=1), likely.shape[1] - 1
    rest, objects = some[labels[some] == background], some[labels[some] < background]
    objects = objects[np.argsort(-scores[objects], kind="stable")]
    title = f"{len(some)} of {len(boxes)} RoIs: {len(objects)} of objects, {len(rest)} of background"
    figure, axes = panel(fade(view.image), title)
    draw_boxes(axes, boxes[rest], GRAY, ":", 0.6)
    colors = label_colors(labels[objects])
    draw_boxes(axes, boxes[objects], colors, width=1.2)
    caption(axes, scored_names(names, labels[objects], scores[objects]), boxes[objects], colors)
    return Step(
        "Classes of RoIs",
        "The box head gives every RoI a probability for each class and for background. RoIs drawn at random: dotted "
        "and gray where background is the most likely class; the most likely objects are named.",
        [figure],
        tables=[likely_class_table(trace, names)],
    )


def class_probabilities(seen: InspectedImage, rois: int = 40, classes: int = 20) -> Step:
    """Probabilities of `rois` RoIs and at most `classes` classes: those of a hundredth or more, and background."""
    trace, names = seen.trace, seen.names
    likely = roi_probabilities(trace)
    background = likely.shape[1] - 1
    shown = np.argsort(likely[:, background], kind="stable")[:rois]
    greatest = likely[shown, :background].max(axis=0, initial=0)
    columns = np.argsort(-greatest, kind="stable")[: min(classes, max(1, int((greatest >= 0.01).sum())))]
    columns = np.append(np.sort(columns), background)
    width = min(WIDTH, max(4.5, 1.8 + 0.5 * len(columns)))
    figure, [axes] = charts((width, 1.6 + 0.15 * max(len(shown), 4)))
    grid = likely[np.ix_(shown, columns)] if len(shown) else np.zeros((1, len(columns)))
    called = output_names(trace, names)
    colors = heat_map(axes, grid, [called[label] for label in columns.tolist()])
    axes.set_ylabel(f"{len(shown)} RoIs, the least likely background first", fontsize=8)
    axes.set_yticks([])
    figure.colorbar(colors, ax=axes, label="probability")
    return Step(
        "Class probabilities",
        "RoIs that are least likely background, a row each. Several bright columns in a row are a choice between "
        "classes.",
        [figure],
    )


def roi_refinement(seen: InspectedImage, count: int = 6, seed: int = 0) -> Step:
    """`count` random pairs of a RoI and a class before and after the deltas of the class."""
    trace, view, names = seen.trace, seen.view, seen.names
    pairs = trace.pairs
    valid = np.flatnonzero(pairs.valid[0])
    some = np.sort(np.random.default_rng(seed).permutation(valid)[:count])
    before = view.place(trace.rois.boxes[0])[pairs.roi_index[0][some]]
    after, labels = view.place(pairs.boxes[0][some]), pairs.labels[0][some]
    colors = label_colors(labels)
    title = f"{len(some)} of {len(valid)} RoIs with a class: dotted before, full after its deltas"
    figure, axes = panel(fade(view.image), title)
    draw_refined(axes, before, after, colors, ":", 1.6)
    caption(axes, scored_names(names, labels, pairs.scores[0][some]), after, colors)
    return Step(
        "Deltas of classes",
        "The box head has deltas for each class of a RoI. Some pairs of a RoI and a class that pass the threshold, "
        "before (dotted) and after (full).",
        [figure],
    )


def roi_level_table(trace: Trace, config: ModelConfig) -> Table:
    """Number and sizes of the RoIs of each level."""
    valid = np.asarray(trace.rois.valid[0])
    boxes, levels = np.asarray(trace.rois.boxes[0])[valid], np.asarray(trace.roi_levels[0])[valid]
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    entries = []
    for level in range(config.fpn.roi_levels(config.backbone.strides)):
        mine = sides[levels == level]
        spread = np.percentile(mine, (0, 50, 100)).tolist() if mine.size else [None] * 3
        entries.append((config.level_names[level], config.strides[level], len(mine), *spread))
    return Table(("level", "pixels a cell", "RoIs", "least √ area", "median", "greatest"), entries, "RoIs by level")


def likely_class_table(trace: Trace, names: Sequence[str]) -> Table:
    """Number of RoIs by their most likely class; classes without any are left out."""
    likely = roi_probabilities(trace)
    called = output_names(trace, names)
    labels, entries = likely.argmax(axis=1), []
    for label in np.unique(labels).tolist():
        mine = likely[labels == label, label]
        entries.append((called[label], len(mine), float(mine.mean()), float(mine.max())))
    entries.sort(key=lambda entry: -entry[1])
    columns = ("most likely class", "RoIs", "mean probability", "greatest")
    return Table(columns, entries, "RoIs by their most likely class")


def roi_probabilities(trace: Trace) -> Float[np.ndarray, "n c1"]:
    """The class probabilities of the valid RoIs of the first image, `[n, C + 1]`; background is the last column."""
    logits = np.asarray(trace.box.logits[0], np.float32)[np.asarray(trace.rois.valid[0])]
    return np.asarray(jax.nn.softmax(logits, axis=1))


def output_names(trace: Trace, names: Sequence[str]) -> list[str]:
    """The names of the box head's outputs, background last."""
    return [*(class_name(names, label) for label in range(trace.box.logits.shape[-1] - 1)), "background"]


def scored_names(names: Sequence[str], labels: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> list[str]:
    """Labels and scores as text."""
    pairs = zip(labels.tolist(), scores.tolist(), strict=True)
    return [f"{class_name(names, label)} {score:.2f}" for label, score in pairs]
