"""Figures of the region proposal network's work: from anchors to proposals."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.data.training_anchors import Pyramid
from maskrcnn_jax.inspect.model.subject import View
from maskrcnn_jax.inspect.panels import COLORS, GRAY, Color, Ink, connect, draw_boxes, fade, legend, panels, show
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.structs import Trace

MARGIN = 0.12
"""Of the picture's sides: how much is seen around it where boxes leave it."""


def trace_pyramid(trace: Trace) -> Pyramid:
    """The anchors of a trace and how they lie on its levels."""
    cells = tuple((level.shape[1], level.shape[2]) for level in trace.features)
    areas = [height * width for height, width in cells]
    ratios = len(trace.anchors) // sum(areas)
    return Pyramid(np.asarray(trace.anchors), cells, tuple(ratios * area for area in areas))


def best_candidates(trace: Trace, count: int) -> Int[np.ndarray, " n"]:
    """Places of the candidates with the highest scores, best first; those that take no part are left out."""
    valid = np.asarray(trace.candidates.valid[0])
    order = np.argsort(-np.where(valid, trace.candidates.scores[0], -1.0), kind="stable")
    return order[: min(count, int(valid.sum()))]


def objectness_figure(trace: Trace) -> Figure:
    """How sure the network is of an object at each cell of each level: its best anchor's score there, from 0 to 1."""
    levels, logits = trace_pyramid(trace).levels(), np.asarray(trace.rpn.logits[0])
    tiles = []
    for level, features in enumerate(trace.features):
        _, height, width, _ = features.shape
        best = logits[levels == level].reshape(height, width, -1).max(axis=2)
        scores = np.exp(-np.logaddexp(0.0, -best))  # the sigmoid, without overflow
        caption = f"P{level + 2}, {height} × {width} cells: {scores.min():.2f} … {scores.max():.2f}"
        tiles.append(Tile(heat(scores, 0.0, 1.0), caption))
    return tile_figure([row for row in (tiles[:3], tiles[3:]) if row])


def top_anchor_figure(trace: Trace, view: View, count: int = 100) -> Figure:
    """The anchors with the highest objectness, as they lie before anything moves them, coloured by level.

    Args:
        trace: of one picture.
        view: of the same picture.
        count: how many.
    """
    best = np.argsort(-np.asarray(trace.rpn.logits[0]), kind="stable")[:count]
    figure, [axes] = _panels(view, 1, MARGIN)
    show(axes, fade(view.image), f"The {len(best)} anchors with the highest objectness")
    levels = trace_pyramid(trace).levels()[best]
    draw_boxes(axes, view.place(trace.anchors[best]), _by_level(levels), width=0.8)
    _widen(axes, view, MARGIN)
    legend(figure, level_inks(levels))
    return figure


def refined_figure(trace: Trace, view: View, count: int = 50) -> Figure:
    """The best candidates: anchors dotted and moved by their deltas on the left, clipped to the picture on the right.

    Args:
        trace: of one picture.
        view: of the same picture.
        count: how many.
    """
    best = best_candidates(trace, count)
    candidates, colors = trace.candidates, _by_level(trace.candidates.level[0, best])
    anchors = view.place(trace.anchors[candidates.anchor_index[0, best]])
    decoded, clipped = view.place(candidates.decoded[0, best]), view.place(candidates.boxes[0, best])
    figure, (left, right) = _panels(view, 2, MARGIN)
    show(left, fade(view.image), f"The {len(best)} best candidates: anchors, moved by their deltas")
    draw_boxes(left, anchors, colors, ":", width=0.7)
    connect(left, anchors, decoded, colors)
    draw_boxes(left, decoded, colors, width=1.0)
    show(right, fade(view.image), "clipped to the picture")
    draw_boxes(right, clipped, colors, width=1.0)
    for axes in (left, right):
        _widen(axes, view, MARGIN)
    legend(figure, level_inks(candidates.level[0, best]))
    return figure


def suppression_figure(trace: Trace, view: View, count: int = 50) -> Figure:
    """The best candidates that suppression keeps and drops on the left, the best proposals on the right.

    Args:
        trace: of one picture.
        view: of the same picture.
        count: how many candidates, and how many proposals.
    """
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
    shown = level_inks(candidates.level[0, kept])
    legend(figure, {**shown, "dropped": Ink(GRAY, "--"), "proposal": Ink(COLORS[1])})
    return figure


def level_inks(levels: Int[np.ndarray, " n"]) -> dict[str, Ink]:
    """What the colours of the levels that occur mean."""
    return {f"P{level + 2}": Ink(COLORS[level]) for level in np.unique(levels).tolist()}


def _by_level(levels: Int[np.ndarray, " n"]) -> list[Color]:
    return [COLORS[level] for level in np.asarray(levels).tolist()]


def _panels(view: View, count: int, margin: float = 0.0) -> tuple[Figure, Sequence[Axes]]:
    height, width = view.image.shape[:2]
    return panels(count, count, (round(height * (1 + 2 * margin)), round(width * (1 + 2 * margin))))


def _widen(axes: Axes, view: View, margin: float) -> None:
    """Shows what lies around the picture."""
    height, width = view.image.shape[:2]
    axes.set_xlim(-margin * width, (1 + margin) * width)
    axes.set_ylim((1 + margin) * height, -margin * height)


def corner_figure(trace: Trace, view: View) -> Figure:
    """Where the proposals begin, (x0, y0), and where they end, (x1, y1)."""
    boxes = view.place(trace.proposals.boxes[0][trace.proposals.valid[0]])
    figure, grid = _panels(view, 2)
    for axes, corners, title in zip(grid, (boxes[:, :2], boxes[:, 2:]), ("Upper left", "Lower right"), strict=True):
        show(axes, fade(view.image), f"{title} corners of {len(boxes)} proposals")
        _dots(axes, corners)
    return figure


def _dots(axes: Axes, points: Float[np.ndarray, "n 2"]) -> None:
    axes.plot(*points.T, "o", color=COLORS[4], markersize=3.5, markeredgecolor="white", markeredgewidth=0.4)
