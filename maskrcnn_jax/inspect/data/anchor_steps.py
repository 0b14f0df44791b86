"""Steps on anchors: those of one cell per level, and the targets of all of them."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.config import AnchorConfig
from maskrcnn_jax.inspect.data.anchor_targets import AnchorTargets, Pyramid, nearest
from maskrcnn_jax.inspect.data.inspected import InspectedData
from maskrcnn_jax.inspect.panels import LEVELS, Ink, class_colors, connect, draw_boxes, fade, legend, panels, show
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
        [anchor_figure(data.sample.images, pyramid, settings)],
        facts={
            "Anchors": f"{len(pyramid.anchors):,}",
            "Levels": len(pyramid.counts),
            "Sizes": ", ".join(f"{size:g}" for size in settings.sizes),
            "Ratios, height / width": ", ".join(f"{ratio:g}" for ratio in settings.aspect_ratios),
            "Anchors in a cell": len(settings.aspect_ratios),
            "Shape": pyramid.anchors.shape,
            "Coordinates": f"{pyramid.anchors.min():g} … {pyramid.anchors.max():g} pixels",
        },
        tables=[anchor_table(pyramid, settings)],
    )


def anchor_assignment(data: InspectedData) -> Step:
    """Positive, negative and ignored anchors, and boxes of positive ones with their targets applied."""
    pyramid, targets, truth, image = data.pyramid, data.anchor_targets, data.objects, data.sample.images
    match = data.config.sampling.anchors
    positive = targets.which(Assignment.POSITIVE, sampled=False)
    distances = nearest(targets.refined[positive], truth)[1] if len(positive) else np.zeros(0)
    usable = truth.valid & ~truth.is_crowd

    def figures() -> Iterator[Figure]:
        yield positive_anchor_figure(image, pyramid, targets, truth, data.names)
        yield other_anchor_figure(image, pyramid, targets, data.rng(2))

    return Step(
        "Anchors and objects",
        f"An anchor is positive if it overlaps an object by at least {match.foreground_iou:g}"
        f"{' or is its best one' if match.low_quality else ''}, negative if it overlaps all by less than "
        f"{match.background_iou:g}, and ignored otherwise. The loss uses a sample of positive and negative ones. With "
        "its target applied, every positive anchor (dashed) must lie on an object (full); the distance is a rounding "
        "error.",
        figures(),
        facts={
            "Positive": len(positive),
            "negative": len(targets.which(Assignment.NEGATIVE, sampled=False)),
            "ignored": len(targets.which(Assignment.IGNORE, sampled=False)),
            "Sampled": len(targets.sampled),
            "positive ones": len(targets.which(Assignment.POSITIVE, sampled=True)),
            "Largest distance of refined anchors and objects": largest(distances),
            f"Objects without an anchor of IoU {match.foreground_iou:g}": int(
                (targets.overlaps[usable] < match.foreground_iou).sum()
            ),
        },
        tables=[
            assignment_table(pyramid, targets),
            object_anchor_table(targets, truth, data.names, match.foreground_iou),
            trace_table(targets),
        ],
    )


def largest(distances: np.ndarray) -> str | None:
    """The largest of some distances in pixels; None if there is none."""
    return f"{distances.max():.1g} pixels" if distances.size else None


def anchor_figure(image: Array, pyramid: Pyramid, config: AnchorConfig) -> Figure:
    """The anchors of every level's centre cell: a colour per level, dark to bright in the order of the ratios.

    Args:
        image: `[H, W, 3]` the padded network input, RGB in [0, 255].
        pyramid: of this padded size.
        config: of the anchors.
    """
    figure, [axes] = panels(1, 1, image.shape)
    show(axes, fade(image))
    ratios = config.per_cell
    starts = np.cumsum([0, *pyramid.counts])
    drawn = []
    for level, (height, width) in enumerate(pyramid.cells):
        first = starts[level] + ratios * (height // 2 * width + width // 2)
        boxes = pyramid.anchors[first : first + ratios]
        color = np.array(LEVELS[level])
        shades = [tuple((color * shade).tolist()) for shade in np.linspace(0.45, 1, ratios)]
        draw_boxes(axes, boxes, shades)
        drawn.append(boxes)
    corners = np.concatenate([*drawn, [[0, 0, image.shape[1], image.shape[0]]]])
    axes.set_xlim(corners[:, 0].min() - 4, corners[:, 2].max() + 4)
    axes.set_ylim(corners[:, 3].max() + 4, corners[:, 1].min() - 4)
    levels = enumerate(config.sizes)
    legend(figure, {f"{pyramid.names[level]}: {size:g} pixels": Ink(LEVELS[level]) for level, size in levels})
    return figure


def positive_anchor_figure(
    image: Array, pyramid: Pyramid, targets: AnchorTargets, truth: GroundTruth, class_names: Sequence[str]
) -> Figure:
    """Sampled positive anchors, dashed, and with their targets applied, full: on the box of an object.

    Args:
        image: `[H, W, 3]` the padded network input, RGB in [0, 255].
        pyramid: of this padded size.
        targets: for this image.
        truth: of the same image.
        class_names: one per label.
    """
    figure, [axes] = panels(1, 1, image.shape)
    positive = targets.which(Assignment.POSITIVE, sampled=True)
    drawn = positive[:POSITIVE]
    show(axes, fade(image), f"{len(drawn)} of {len(positive)} sampled positive anchors: dashed, refined: full")
    if not len(drawn):
        return figure
    anchors, refined = pyramid.anchors[drawn], targets.refined[drawn]
    chosen = class_colors(truth.labels[truth.valid].tolist())
    colors = [chosen[label] for label in truth.labels[nearest(refined, truth)[0]].tolist()]
    draw_boxes(axes, anchors, colors, "--", 1.0)
    draw_boxes(axes, refined, colors, width=2.2)
    connect(axes, anchors, refined, colors)
    legend(figure, {class_names[label]: Ink(color) for label, color in chosen.items()})
    return figure


def other_anchor_figure(image: Array, pyramid: Pyramid, targets: AnchorTargets, rng: np.random.Generator) -> Figure:
    """Sampled negative anchors, and ignored ones, in the colours of their levels.

    Args:
        image: `[H, W, 3]` the padded network input, RGB in [0, 255].
        pyramid: of this padded size.
        targets: for this image.
        rng: selects the anchors; consumed.
    """
    figure, axes = panels(2, 2, image.shape)
    levels = pyramid.levels()
    negative = targets.which(Assignment.NEGATIVE, sampled=True)
    ignored = targets.which(Assignment.IGNORE, sampled=False)
    kinds = ((negative, "sampled negative"), (ignored, "ignored"))
    for panel, (which, name) in zip(axes, kinds, strict=True):
        drawn = rng.permutation(which)[:OTHERS]
        show(panel, fade(image), f"{len(drawn)} of {len(which)} {name} anchors")
        draw_boxes(panel, pyramid.anchors[drawn], [LEVELS[level] for level in levels[drawn]], width=1.0)
    legend(figure, {name: Ink(LEVELS[level]) for level, name in enumerate(pyramid.names)})
    return figure


def anchor_table(pyramid: Pyramid, config: AnchorConfig) -> Table:
    """The levels: cells, stride, and the sizes of the anchors of one cell."""
    entries = []
    starts, ratios = np.cumsum([0, *pyramid.counts]), config.per_cell
    for level, (height, width) in enumerate(pyramid.cells):
        x0, y0, x1, y1 = pyramid.anchors[starts[level] : starts[level] + ratios].T
        steps = np.diff(pyramid.anchors[starts[level] :: ratios, 0][:width])
        stride = round(float(steps[0]), 3) if len(steps) else None
        sizes = ", ".join(f"{h:.0f} × {w:.0f}" for h, w in zip(y1 - y0, x1 - x0, strict=True))
        cells = f"{height} × {width}"
        entries.append((pyramid.names[level], cells, stride, config.sizes[level], sizes, pyramid.counts[level]))
    columns = ("level", "cells", "stride", "√ area", "height × width of a cell's anchors", "anchors")
    return Table(columns, entries, "Anchors by level, pixels of the network's input")


def assignment_table(pyramid: Pyramid, targets: AnchorTargets) -> Table:
    """Positive, negative and ignored anchors of each level, and those that the loss uses."""
    levels = pyramid.levels()
    kinds = (Assignment.POSITIVE, Assignment.NEGATIVE, Assignment.IGNORE)
    counts = [np.bincount(levels[targets.which(k, sampled=False)], minlength=len(pyramid.counts)) for k in kinds]
    counts += [np.bincount(levels[targets.which(k, sampled=True)], minlength=len(pyramid.counts)) for k in kinds[:2]]
    entries: list[tuple[object, ...]] = [
        (name, *line) for name, line in zip(pyramid.names, zip(*counts, strict=True), strict=True)
    ]
    entries.append(("all", *(count.sum() for count in counts)))
    columns = ("level", "positive", "negative", "ignored", "sampled positive", "sampled negative")
    return Table(columns, entries, "Anchors by assignment")


def object_anchor_table(targets: AnchorTargets, truth: GroundTruth, class_names: Sequence[str], least: float) -> Table:
    """The objects and their anchors; objects that no anchor overlaps by `least` are marked."""
    positive = targets.which(Assignment.POSITIVE, sampled=False)
    counts = np.zeros(len(truth.valid), int)
    if len(positive):
        counts = np.bincount(nearest(targets.refined[positive], truth)[0], minlength=len(counts))
    entries: list[tuple[object, ...]] = []
    marked = []
    for slot in np.flatnonzero(truth.valid):
        x0, y0, x1, y1 = truth.boxes[slot].tolist()
        name = class_names[truth.labels[slot]] + (" (crowd)" if truth.is_crowd[slot] else "")
        if not truth.is_crowd[slot] and targets.overlaps[slot] < least:
            marked.append(len(entries))
        entries.append((name, f"{y1 - y0:.0f} × {x1 - x0:.0f}", float(targets.overlaps[slot]), counts[slot]))
    return Table(
        ("object", "height × width", "best IoU with an anchor", "positive anchors"),
        entries,
        f"Objects; no anchor overlaps the marked ones by {least:g}",
        marked,
    )
