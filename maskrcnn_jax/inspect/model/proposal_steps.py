"""Steps on the region proposal network: from anchors to proposals."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.charts import BINS, BLUE, INK, ORANGE, bare, charts
from maskrcnn_jax.inspect.colors import COLORS, GRAY, Color, Ink
from maskrcnn_jax.inspect.data import anchor_targets as training
from maskrcnn_jax.inspect.data.anchor_steps import assignment_table, positive_anchor_figure
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.panels import WIDTH, draw_boxes, draw_refined, fade, legend, panels, show
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.structs import Trace

MARGIN = 0.12
"""Of the image's sides: the margin that is shown where boxes extend beyond the image."""
DELTAS = ("dx", "dy", "dw", "dh")
GREEN = INK[3]


def anchor_targets(seen: InspectedImage) -> Step | None:
    """The anchors that training would count as objects; None without objects."""
    objects, annotated = seen.objects, seen.annotated
    if objects is None or annotated is None or objects.is_crowd.all():
        return None
    view, pyramid = seen.view, seen.pyramid
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
    pyramid, scores = seen.pyramid, np.asarray(jax.nn.sigmoid(seen.trace.rpn.logits[0]))
    levels, tiles = pyramid.levels(), []
    for level, (height, width) in enumerate(pyramid.cells):
        best = scores[levels == level].reshape(height, width, -1).max(axis=2)
        caption = f"{pyramid.names[level]}, {height} × {width} cells: {best.min():.2f} … {best.max():.2f}"
        tiles.append(Tile(heat(best, 0.0, 1.0), caption))
    return Step(
        "Objectness",
        "For each cell, the highest score of its anchors: how likely the region proposal network finds an object, of "
        "any class, from 0 (dark) to 1 (yellow).",
        [tile_figure([row for row in (tiles[:3], tiles[3:]) if row])],
        facts={"Anchors": f"{len(pyramid.anchors):,}"},
    )


def top_anchors(seen: InspectedImage, count: int = 100) -> Step:
    """The `count` anchors with the highest scores."""
    best = np.argsort(-np.asarray(seen.trace.rpn.logits[0]), kind="stable")[:count]
    figure, [axes] = _panels(seen, f"The {len(best)} anchors with the highest objectness", margin=MARGIN)
    levels = seen.pyramid.levels()[best]
    draw_boxes(axes, seen.view.place(seen.pyramid.anchors[best]), _by_level(levels), width=0.8)
    legend(figure, _level_inks(levels, seen))
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
    candidates, levels = trace.candidates, trace.candidates.level[0, best]
    anchors = view.place(trace.anchors[candidates.anchor_index[0, best]])
    title = f"The {len(best)} best candidates: anchors and their deltas applied"
    figure, (left, right) = _panels(seen, title, "clipped to the image", margin=MARGIN)
    draw_refined(left, anchors, view.place(candidates.decoded[0, best]), _by_level(levels), ":", 1.0)
    draw_boxes(right, view.place(candidates.boxes[0, best]), _by_level(levels), width=1.0)
    legend(figure, _level_inks(levels, seen))
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
    proposals = view.place(trace.proposals.boxes[0][trace.proposals.valid[0]][:count])
    figure, (left, right) = _panels(
        seen,
        f"Of the {len(best)} best candidates {len(kept)} are kept, {len(dropped)} dropped",
        f"The {len(proposals)} best of {int(trace.proposals.valid.sum())} proposals",
    )
    draw_boxes(left, view.place(candidates.boxes[0, dropped]), GRAY, "--", 0.7)
    draw_boxes(left, view.place(candidates.boxes[0, kept]), _by_level(candidates.level[0, kept]), width=1.2)
    draw_boxes(right, proposals, COLORS[1], width=0.8)
    shown = _level_inks(candidates.level[0, kept], seen)
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
    proposals = seen.trace.proposals
    boxes = seen.view.place(proposals.boxes[0][proposals.valid[0]])
    of_all = f"corners of {len(boxes)} proposals"
    figure, grid = _panels(seen, f"Upper left {of_all}", f"Lower right {of_all}")
    for axes, corners in zip(grid, (boxes[:, :2], boxes[:, 2:]), strict=True):
        axes.plot(*corners.T, "o", color=COLORS[4], markersize=3.5, markeredgecolor="white", markeredgewidth=0.4)
    return Step("Corners of proposals", "An even spread means that the network does not locate objects.", [figure])


def deltas(seen: InspectedImage) -> Step:
    """Histograms of the deltas of anchors, candidates and RoIs."""
    trace, pairs, valid = seen.trace, seen.trace.pairs, seen.trace.pairs.valid[0]
    of_anchors, of_rois = trace.rpn.deltas[0], trace.box.deltas[0]
    of_candidates = of_anchors[trace.candidates.anchor_index[0]]
    boxes = np.minimum(pairs.labels[0][valid], of_rois.shape[1] - 1)  # one for all classes of a class-agnostic head
    of_pairs = of_rois[pairs.roi_index[0][valid], boxes]
    figure, grid = charts((WIDTH, 4.8), 2, 4, w_pad=0.12, h_pad=0.12)
    for index, (name, upper, lower) in enumerate(zip(DELTAS, grid[:4], grid[4:], strict=True)):
        anchors = [("all anchors", of_anchors[:, index], BLUE), ("candidates", of_candidates[:, index], ORANGE)]
        _histogram(upper, f"{name} of an anchor", anchors)
        _histogram(lower, f"{name} of a RoI", [("RoIs and their classes", of_pairs[:, index], GREEN)])
    series = [drawn for axes in (grid[0], grid[4]) for drawn in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=series, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    return Step(
        "Deltas",
        "By how much boxes are shifted, (dx, dy) in units of their sides, and stretched, (dw, dh) as logarithms; each "
        "times its weight. Above, those of the region proposal network; below, those of the box head for the classes "
        "that pass its threshold. A bar is a share, so that few and many can be compared; values beyond the outermost "
        "hundredth of a percent are not shown.",
        [figure],
    )


def best_candidates(trace: Trace, count: int) -> Int[np.ndarray, " n"]:
    """Indices of the candidates with the highest scores, best first; padding is left out."""
    valid = np.asarray(trace.candidates.valid[0])
    order = np.argsort(-np.where(valid, trace.candidates.scores[0], -1.0), kind="stable")
    return order[: min(count, int(valid.sum()))]


def _level_inks(levels: Int[np.ndarray, " n"], seen: InspectedImage) -> dict[str, Ink]:
    """The legend of the levels that occur."""
    return {seen.config.level_names[level]: Ink(COLORS[level]) for level in np.unique(levels).tolist()}


def _by_level(levels: Int[np.ndarray, " n"]) -> list[Color]:
    return [COLORS[level] for level in np.asarray(levels).tolist()]


def _panels(seen: InspectedImage, *titles: str, margin: float = 0.0) -> tuple[Figure, list[Axes]]:
    """The image, light, side by side under titles, with a margin around it that is a share of its sides."""
    image = fade(seen.view.image)
    height, width = image.shape
    figure, grid = panels(len(titles), len(titles), [round(side * (1 + 2 * margin)) for side in image.shape])
    for axes, title in zip(grid, titles, strict=True):
        show(axes, image, title)
        axes.set(xlim=(-margin * width, (1 + margin) * width), ylim=((1 + margin) * height, -margin * height))
    return figure, grid


def _histogram(axes: Axes, title: str, series: Sequence[tuple[str, np.ndarray, Color]]) -> None:
    """The first series filled, the others as lines, in the same bins."""
    bare(axes, title, 5)
    known = np.concatenate([values[np.isfinite(values)] for _, values, _ in series])
    low, high = np.percentile(known, (0.01, 99.99)) if known.size else (0.0, 1.0)
    for index, (name, values, color) in enumerate(series):
        counts, edges = np.histogram(values[np.isfinite(values)], BINS, (low, max(high, low + 1e-6)))
        shares = counts / max(len(values), 1)
        axes.stairs(shares, edges, fill=not index, color=color, label=f"{name} ({len(values):,})", linewidth=1.5)
