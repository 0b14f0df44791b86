"""Steps on the region proposal network: from anchors to proposals."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.data import anchor_targets as training
from maskrcnn_jax.inspect.data.anchor_steps import assignment_table, positive_anchor_figure
from maskrcnn_jax.inspect.data.anchor_targets import Pyramid
from maskrcnn_jax.inspect.model.inspected import InputView, InspectedImage
from maskrcnn_jax.inspect.panels import COLORS, GRAY, WIDTH, Color, Ink, connect, draw_boxes, fade, legend, panels, show
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.structs import Trace

MARGIN = 0.12
"""Of the image's sides: the margin that is shown where boxes extend beyond the image."""
BINS = 50
DELTAS = ("dx", "dy", "dw", "dh")
BLUE, ORANGE, GREEN = COLORS[4], COLORS[5], COLORS[2]


def anchor_targets(seen: InspectedImage) -> Step | None:
    """The anchors that training would count as objects; None without objects."""
    objects, annotated = seen.objects, seen.annotated
    if objects is None or annotated is None or objects.is_crowd.all():
        return None
    view, pyramid = seen.view, trace_pyramid(seen.trace, seen.model.config.level_names)
    targets = training.anchor_targets(jax.random.key(0), pyramid.anchors, objects, annotated.config)
    figure = positive_anchor_figure(
        view.image,
        pyramid._replace(anchors=view.place(pyramid.anchors)),
        targets._replace(refined=view.place(targets.refined)),
        objects._replace(boxes=view.place(objects.boxes)),
        annotated.source.class_names,
    )
    return Step(
        "Anchor targets",
        "The targets that training would give the region proposal network: anchors that overlap an object enough "
        "(dashed) are positive, and with their targets applied (full) they lie on its box.",
        [figure],
        tables=[assignment_table(pyramid, targets)],
    )


def objectness(seen: InspectedImage) -> Step:
    """The highest objectness of each cell of each level."""
    trace, names = seen.trace, seen.model.config.level_names
    levels, logits = trace_pyramid(trace, names).levels(), np.asarray(trace.rpn.logits[0])
    tiles = []
    for level, features in enumerate(trace.features):
        _, height, width, _ = features.shape
        best = logits[levels == level].reshape(height, width, -1).max(axis=2)
        scores = np.exp(-np.logaddexp(0.0, -best))  # the sigmoid, without overflow
        caption = f"{names[level]}, {height} × {width} cells: {scores.min():.2f} … {scores.max():.2f}"
        tiles.append(Tile(heat(scores, 0.0, 1.0), caption))
    return Step(
        "Objectness",
        "For each cell, the highest score of its anchors: how likely the region proposal network finds an object, of "
        "any class, from 0 (dark) to 1 (yellow).",
        [tile_figure([row for row in (tiles[:3], tiles[3:]) if row])],
        facts={"Anchors": f"{len(trace.anchors):,}"},
    )


def top_anchors(seen: InspectedImage, count: int = 100) -> Step:
    """The `count` anchors with the highest scores."""
    trace, view = seen.trace, seen.view
    best = np.argsort(-np.asarray(trace.rpn.logits[0]), kind="stable")[:count]
    figure, [axes] = _panels(view, 1, MARGIN)
    show(axes, fade(view.image), f"The {len(best)} anchors with the highest objectness")
    levels = trace_pyramid(trace, seen.model.config.level_names).levels()[best]
    draw_boxes(axes, view.place(trace.anchors[best]), _by_level(levels), width=0.8)
    _widen(axes, view, MARGIN)
    legend(figure, level_inks(levels, seen.model.config.level_names))
    return Step(
        "Top anchors",
        "The anchors with the highest objectness before their deltas are applied, coloured by level. They may leave "
        "the image.",
        [figure],
    )


def refined(seen: InspectedImage, count: int = 50) -> Step:
    """The `count` best candidates with their deltas applied, and clipped."""
    trace, view = seen.trace, seen.view
    best = best_candidates(trace, count)
    candidates, colors = trace.candidates, _by_level(trace.candidates.level[0, best])
    anchors = view.place(trace.anchors[candidates.anchor_index[0, best]])
    decoded, clipped = view.place(candidates.decoded[0, best]), view.place(candidates.boxes[0, best])
    figure, (left, right) = _panels(view, 2, MARGIN)
    show(left, fade(view.image), f"The {len(best)} best candidates: anchors and their deltas applied")
    draw_boxes(left, anchors, colors, ":", width=0.7)
    connect(left, anchors, decoded, colors)
    draw_boxes(left, decoded, colors, width=1.0)
    show(right, fade(view.image), "clipped to the image")
    draw_boxes(right, clipped, colors, width=1.0)
    for axes in (left, right):
        _widen(axes, view, MARGIN)
    legend(figure, level_inks(candidates.level[0, best], seen.model.config.level_names))
    return Step(
        "Refined and clipped",
        "The best anchors of each level are candidates. Left, some of the best: the anchors, dotted, and with their "
        "deltas applied; right, the same clipped to the image.",
        [figure],
        facts={"Candidates": int(candidates.valid[0].sum())},
    )


def suppression(seen: InspectedImage, count: int = 50) -> Step:
    """Which of the `count` best candidates suppression keeps, and the `count` best proposals."""
    trace, view = seen.trace, seen.view
    candidates, best = trace.candidates, best_candidates(trace, count)
    keep = np.asarray(candidates.keep[0, best])
    kept, dropped = best[keep], best[~keep]
    figure, (left, right) = _panels(view, 2)
    show(left, fade(view.image), f"Of the {len(best)} best candidates {len(kept)} are kept, {len(dropped)} dropped")
    draw_boxes(left, view.place(candidates.boxes[0, dropped]), [GRAY] * len(dropped), "--", 0.7)
    draw_boxes(left, view.place(candidates.boxes[0, kept]), _by_level(candidates.level[0, kept]), width=1.2)
    proposals = view.place(trace.proposals.boxes[0][trace.proposals.valid[0]][:count])
    show(right, fade(view.image), f"The {len(proposals)} best of {int(trace.proposals.valid.sum())} proposals")
    draw_boxes(right, proposals, [COLORS[1]] * len(proposals), width=0.8)
    shown = level_inks(candidates.level[0, kept], seen.model.config.level_names)
    legend(figure, {**shown, "dropped": Ink(GRAY, "--"), "proposal": Ink(COLORS[1])})
    return Step(
        "Suppression and proposals",
        f"Of two candidates of a level that overlap by more than {seen.config.rpn.proposals.nms_iou} the better one is "
        "kept. Those that are kept are ranked over all levels, and the best of them are the proposals.",
        [figure],
        facts={
            "Candidates": int(candidates.valid[0].sum()),
            "kept": int(candidates.keep[0].sum()),
            "Proposals": int(trace.proposals.valid[0].sum()),
        },
    )


def proposal_corners(seen: InspectedImage) -> Step:
    """The corners of all proposals."""
    trace, view = seen.trace, seen.view
    boxes = view.place(trace.proposals.boxes[0][trace.proposals.valid[0]])
    figure, grid = _panels(view, 2)
    for axes, corners, title in zip(grid, (boxes[:, :2], boxes[:, 2:]), ("Upper left", "Lower right"), strict=True):
        show(axes, fade(view.image), f"{title} corners of {len(boxes)} proposals")
        axes.plot(*corners.T, "o", color=COLORS[4], markersize=3.5, markeredgecolor="white", markeredgewidth=0.4)
    return Step(
        "Corners of proposals",
        "An even spread means that the network does not locate objects.",
        [figure],
    )


def deltas(seen: InspectedImage) -> Step:
    """Histograms of the deltas of anchors, candidates and RoIs."""
    trace = seen.trace
    pairs, valid = trace.pairs, np.asarray(trace.pairs.valid[0])
    of_anchors = np.asarray(trace.rpn.deltas[0])
    of_candidates = of_anchors[np.asarray(trace.candidates.anchor_index[0])]
    of_rois = np.asarray(trace.box.deltas[0])
    boxes = np.minimum(pairs.labels[0][valid], of_rois.shape[1] - 1)  # one for all classes of a class-agnostic head
    of_pairs = of_rois[pairs.roi_index[0][valid], boxes]
    figure = LiteralFigure(figsize=(WIDTH, 4.8))
    figure.subplots_adjust(0.02, 0.07, 0.98, 0.87, 0.12, 0.42)
    grid = figure.subplots(2, 4)
    for index, name in enumerate(DELTAS):
        upper, lower = grid[0, index], grid[1, index]
        _histogram(
            upper, [("all anchors", of_anchors[:, index], BLUE), ("candidates", of_candidates[:, index], ORANGE)]
        )
        _histogram(lower, [("RoIs and their classes", of_pairs[:, index], GREEN)])
        for axes, of in ((upper, "an anchor"), (lower, "a RoI")):
            axes.set_title(f"{name} of {of}", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.locator_params("x", nbins=5)
            axes.set_yticks([])
            axes.spines[["top", "right", "left"]].set_visible(False)
    series = [drawn for axes in grid[:, 0] for drawn in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=series, loc="upper center", ncols=3, fontsize=9, frameon=False)
    return Step(
        "Deltas",
        "By how much boxes are shifted, (dx, dy) in units of their sides, and stretched, (dw, dh) as logarithms; each "
        "times its weight. Above, those of the region proposal network; below, those of the box head for the classes "
        "that pass its threshold. A bar is a share, so that few and many can be compared; values beyond the outermost "
        "hundredth of a percent are not shown.",
        [figure],
    )


def trace_pyramid(trace: Trace, names: tuple[str, ...]) -> Pyramid:
    """The anchors of a trace by level."""
    cells = tuple((level.shape[1], level.shape[2]) for level in trace.features)
    areas = [height * width for height, width in cells]
    ratios = len(trace.anchors) // sum(areas)
    return Pyramid(np.asarray(trace.anchors), cells, tuple(ratios * area for area in areas), names)


def best_candidates(trace: Trace, count: int) -> Int[np.ndarray, " n"]:
    """Indices of the candidates with the highest scores, best first; padding is left out."""
    valid = np.asarray(trace.candidates.valid[0])
    order = np.argsort(-np.where(valid, trace.candidates.scores[0], -1.0), kind="stable")
    return order[: min(count, int(valid.sum()))]


def level_inks(levels: Int[np.ndarray, " n"], names: Sequence[str]) -> dict[str, Ink]:
    """The legend of the levels that occur."""
    return {names[level]: Ink(COLORS[level]) for level in np.unique(levels).tolist()}


def _by_level(levels: Int[np.ndarray, " n"]) -> list[Color]:
    return [COLORS[level] for level in np.asarray(levels).tolist()]


def _panels(view: InputView, count: int, margin: float = 0.0) -> tuple[Figure, Sequence[Axes]]:
    height, width = view.image.shape[:2]
    return panels(count, count, (round(height * (1 + 2 * margin)), round(width * (1 + 2 * margin))))


def _widen(axes: Axes, view: InputView, margin: float) -> None:
    """Enlarges the limits of axes by a margin around the image."""
    height, width = view.image.shape[:2]
    axes.set_xlim(-margin * width, (1 + margin) * width)
    axes.set_ylim((1 + margin) * height, -margin * height)


def _histogram(axes: Axes, series: Sequence[tuple[str, np.ndarray, Color]]) -> None:
    """The first series filled, the others as lines, in the same bins."""
    known = np.concatenate([values[np.isfinite(values)] for _, values, _ in series])
    low, high = np.percentile(known, (0.01, 99.99)) if known.size else (0.0, 1.0)
    for index, (name, values, color) in enumerate(series):
        counts, edges = np.histogram(values[np.isfinite(values)], BINS, (low, max(high, low + 1e-6)))
        shares = counts / max(len(values), 1)
        axes.stairs(shares, edges, fill=not index, color=color, label=f"{name} ({len(values):,})", linewidth=1.5)
