"""Steps on anchors: those of one cell per level, and the targets of all of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.colors import Ink, class_colors, level_color
from maskrcnn_jax.inspect.data.anchor_targets import AnchorTargets, Pyramid, nearest
from maskrcnn_jax.inspect.data.inspected import InspectedData
from maskrcnn_jax.inspect.panels import draw_boxes, draw_refined, fade, legend, panel, panels, show
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.tensors import trace_table
from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.structs import Array, GroundTruth

POSITIVE, OTHERS = 30, 100
"""Anchors that are drawn, at most."""


def anchors(data: InspectedData) -> Step:
    """The anchors of the cell in the middle of every level."""
    pyramid, settings = data.pyramid, data.config.model.rpn.anchors
    return Step(
        "Anchors",
        "The reference boxes of the region proposal network, in the order of level, row, column and ratio. Here are "
        "those of the cell in the middle of each level, dark to bright in the order of the ratios.",
        [anchor_figure(data)],
        facts={
            "Anchors": f"{len(pyramid.anchors):,}",
            "Levels": len(pyramid.counts),
            "Sizes": ", ".join(f"{size:g}" for size in settings.sizes),
            "Ratios, height / width": ", ".join(f"{ratio:g}" for ratio in settings.aspect_ratios),
            "Anchors in a cell": len(settings.aspect_ratios),
            "Shape": pyramid.anchors.shape,
            "Coordinates": f"{pyramid.anchors.min():g} … {pyramid.anchors.max():g} pixels",
        },
        tables=[anchor_table(data)],
    )


def anchor_assignment(data: InspectedData) -> Step:
    """Positive, negative and ignored anchors, and boxes of positive ones with their targets applied."""
    pyramid, targets, truth = data.pyramid, data.anchor_targets, data.objects
    match = data.config.sampling.anchors
    positive = targets.which(Assignment.POSITIVE, sampled=False)
    distances = nearest(targets.refined[positive], truth)[1] if len(positive) else np.zeros(0)
    lost = truth.valid & ~truth.is_crowd & (targets.overlaps < match.foreground_iou)
    positives = positive_anchor_figure(data.sample.images, pyramid, targets, truth, data.names)
    return Step(
        "Anchors and objects",
        f"An anchor is positive if it overlaps an object by at least {match.foreground_iou:g}"
        f"{' or is its best one' if match.low_quality else ''}, negative if it overlaps all by less than "
        f"{match.background_iou:g}, and ignored otherwise. The loss uses a sample of positive and negative ones. With "
        "its target applied, every positive anchor (dashed) must lie on an object (full); the distance is a rounding "
        "error.",
        [positives, other_anchor_figure(data)],
        facts={
            "Positive": len(positive),
            "negative": len(targets.which(Assignment.NEGATIVE, sampled=False)),
            "ignored": len(targets.which(Assignment.IGNORE, sampled=False)),
            "Sampled": len(targets.sampled),
            "positive ones": len(targets.which(Assignment.POSITIVE, sampled=True)),
            "Largest distance of refined anchors and objects": largest(distances),
            f"Objects without an anchor of IoU {match.foreground_iou:g}": int(lost.sum()),
        },
        tables=[assignment_table(pyramid, targets), object_anchor_table(data), trace_table(targets)],
    )


def largest(distances: np.ndarray) -> str | None:
    """The largest of some distances in pixels; None if there is none."""
    return f"{distances.max():.1g} pixels" if distances.size else None


def anchor_figure(data: InspectedData) -> Figure:
    """The anchors of every level's centre cell: a colour per level, dark to bright in the order of the ratios."""
    image, pyramid, config = data.sample.images, data.pyramid, data.config.model.rpn.anchors
    figure, axes = panel(fade(image))
    corners = [np.array([[0, 0, image.shape[1], image.shape[0]]])]
    for level, (height, width) in enumerate(pyramid.cells):
        corners.append(pyramid.of_cell(level, height // 2 * width + width // 2))
        shades = np.linspace(0.45, 1, config.per_cell)[:, None] * np.array(level_color(level))
        draw_boxes(axes, corners[-1], [tuple(shade) for shade in shades.tolist()])
    x0, y0, x1, y1 = np.concatenate(corners).T
    axes.set(xlim=(x0.min() - 4, x1.max() + 4), ylim=(y1.max() + 4, y0.min() - 4))
    levels = enumerate(config.sizes)
    legend(figure, {f"{pyramid.names[level]}: {size:g} pixels": Ink(level_color(level)) for level, size in levels})
    return figure


def positive_anchor_figure(
    image: Array, pyramid: Pyramid, targets: AnchorTargets, truth: GroundTruth, class_names: Sequence[str]
) -> Figure:
    """Sampled positive anchors, dashed, and with their targets applied, full: on the box of an object.

    The image is `[H, W, 3]`, RGB in [0, 255]; all boxes are in its pixels.
    """
    positive = targets.which(Assignment.POSITIVE, sampled=True)
    drawn = positive[:POSITIVE]
    title = f"{len(drawn)} of {len(positive)} sampled positive anchors: dashed, refined: full"
    figure, axes = panel(fade(image), title)
    if not len(drawn):
        return figure
    refined = targets.refined[drawn]
    chosen = class_colors(truth.labels[truth.valid].tolist())
    colors = [chosen[label] for label in truth.labels[nearest(refined, truth)[0]].tolist()]
    draw_refined(axes, pyramid.anchors[drawn], refined, colors)
    legend(figure, {class_names[label]: Ink(color) for label, color in chosen.items()})
    return figure


def other_anchor_figure(data: InspectedData) -> Figure:
    """Sampled negative anchors, and ignored ones, drawn at random, in the colours of their levels."""
    image, pyramid, targets, rng = fade(data.sample.images), data.pyramid, data.anchor_targets, data.rng(2)
    figure, grid = panels(2, 2, image.shape)
    levels = pyramid.levels()
    negative = targets.which(Assignment.NEGATIVE, sampled=True)
    ignored = targets.which(Assignment.IGNORE, sampled=False)
    kinds = ((negative, "sampled negative"), (ignored, "ignored"))
    for axes, (which, name) in zip(grid, kinds, strict=True):
        drawn = rng.permutation(which)[:OTHERS]
        show(axes, image, f"{len(drawn)} of {len(which)} {name} anchors")
        draw_boxes(axes, pyramid.anchors[drawn], [level_color(level) for level in levels[drawn].tolist()], width=1.0)
    legend(figure, {name: Ink(level_color(level)) for level, name in enumerate(pyramid.names)})
    return figure


def anchor_table(data: InspectedData) -> Table:
    """The levels: cells, stride, and the sizes of the anchors of one cell."""
    pyramid, areas = data.pyramid, data.config.model.rpn.anchors.sizes
    entries = []
    for level, (height, width) in enumerate(pyramid.cells):
        x0, y0, x1, y1 = pyramid.of_cell(level, 0).T
        stride = round(float(pyramid.of_cell(level, 1)[0, 0] - x0[0]), 3) if width > 1 else None
        sizes = ", ".join(f"{h:.0f} × {w:.0f}" for h, w in zip(y1 - y0, x1 - x0, strict=True))
        cells = f"{height} × {width}"
        entries.append((pyramid.names[level], cells, stride, areas[level], sizes, pyramid.counts[level]))
    columns = ("level", "cells", "stride", "√ area", "height × width of a cell's anchors", "anchors")
    return Table(columns, entries, "Anchors by level, pixels of the network's input")


def assignment_table(pyramid: Pyramid, targets: AnchorTargets) -> Table:
    """Positive, negative and ignored anchors of each level, and those that the loss uses."""
    kinds = [(kind, False) for kind in (Assignment.POSITIVE, Assignment.NEGATIVE, Assignment.IGNORE)]
    kinds += [(Assignment.POSITIVE, True), (Assignment.NEGATIVE, True)]
    levels = [pyramid.levels()[targets.which(kind, sampled=sampled)] for kind, sampled in kinds]
    counts = np.stack([np.bincount(of_kind, minlength=len(pyramid.counts)) for of_kind in levels], axis=1)
    sums = zip((*pyramid.names, "all"), (*counts, counts.sum(axis=0)), strict=True)
    entries = [(name, *line.tolist()) for name, line in sums]
    columns = ("level", "positive", "negative", "ignored", "sampled positive", "sampled negative")
    return Table(columns, entries, "Anchors by assignment")


def object_anchor_table(data: InspectedData) -> Table:
    """The objects and their anchors; objects that no anchor overlaps enough to be positive are marked."""
    targets, truth, least = data.anchor_targets, data.objects, data.config.sampling.anchors.foreground_iou
    positive = targets.which(Assignment.POSITIVE, sampled=False)
    closest = nearest(targets.refined[positive], truth)[0] if len(positive) else positive
    counts = np.bincount(closest, minlength=len(truth.valid))
    slots = np.flatnonzero(truth.valid)
    entries = []
    for slot in slots:
        x0, y0, x1, y1 = truth.boxes[slot].tolist()
        name = data.names[truth.labels[slot]] + " (crowd)" * bool(truth.is_crowd[slot])
        entries.append((name, f"{y1 - y0:.0f} × {x1 - x0:.0f}", float(targets.overlaps[slot]), counts[slot]))
    marked = np.flatnonzero(~truth.is_crowd[slots] & (targets.overlaps[slots] < least)).tolist()
    columns = ("object", "height × width", "best IoU with an anchor", "positive anchors")
    return Table(columns, entries, f"Objects; no anchor overlaps the marked ones by {least:g}", marked)
