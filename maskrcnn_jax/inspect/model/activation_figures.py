"""Figures of what layers return, and of the deltas that move boxes."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.page import WIDTH
from maskrcnn_jax.inspect.panels import COLORS, Color
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.structs import Array, Trace

BINS = 50
DELTAS = ("dx", "dy", "dw", "dh")
BLUE, ORANGE, GREEN = COLORS[4], COLORS[5], COLORS[2]


def activation_figure(stages: Mapping[str, Array], count: int = 4) -> Figure:
    """The first channels of each stage, each from its least value to its greatest, and the mean size of all.

    Args:
        stages: by name, `[1, h, w, channels]`.
        count: channels that are shown.
    """
    rows = []
    for stage in stages.values():
        values = np.asarray(stage[0], np.float32)
        tiles = [_tile(values[..., channel], f"channel {channel}") for channel in range(min(count, values.shape[2]))]
        rows.append([*tiles, _tile(np.abs(values).mean(axis=2), "mean size")])
    names = [f"{name}\n{stage.shape[1]} × {stage.shape[2]}\n× {stage.shape[3]}" for name, stage in stages.items()]
    return tile_figure(rows, names)


def _tile(values: Float[np.ndarray, "h w"], name: str) -> Tile:
    return Tile(heat(values), f"{name}: {values.min():.3g} … {values.max():.3g}".replace("-", "−"))


def delta_figure(trace: Trace) -> Figure:
    """Histograms of the deltas: of all anchors and of the candidates above, of the pairs below.

    The height of a bar is a share, so that few and many can be compared; what lies beyond the outermost hundredth of a
    percent of either is not shown.

    Args:
        trace: of one picture.
    """
    pairs, valid = trace.pairs, np.asarray(trace.pairs.valid[0])
    of_anchors = np.asarray(trace.rpn.deltas[0])
    of_candidates = of_anchors[np.asarray(trace.candidates.anchor_index[0])]
    of_pairs = np.asarray(trace.box.deltas[0])[pairs.roi_index[0][valid], pairs.labels[0][valid]]
    figure = LiteralFigure(figsize=(WIDTH, 4.8))
    figure.subplots_adjust(0.02, 0.07, 0.98, 0.87, 0.12, 0.42)
    grid = figure.subplots(2, 4)
    for place, name in enumerate(DELTAS):
        upper, lower = grid[0, place], grid[1, place]
        _histogram(
            upper, [("all anchors", of_anchors[:, place], BLUE), ("candidates", of_candidates[:, place], ORANGE)]
        )
        _histogram(lower, [("rois and their classes", of_pairs[:, place], GREEN)])
        for axes, of in ((upper, "an anchor"), (lower, "a roi")):
            axes.set_title(f"{name} of {of}", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.locator_params("x", nbins=5)
            axes.set_yticks([])
            axes.spines[["top", "right", "left"]].set_visible(False)
    series = [drawn for axes in grid[:, 0] for drawn in axes.get_legend_handles_labels()[0]]
    figure.legend(handles=series, loc="upper center", ncols=3, fontsize=9, frameon=False)
    return figure


def _histogram(axes: Axes, series: Sequence[tuple[str, np.ndarray, Color]]) -> None:
    """The first filled, the others as lines over it, in the same bins."""
    known = np.concatenate([values[np.isfinite(values)] for _, values, _ in series])
    low, high = np.percentile(known, (0.01, 99.99)) if known.size else (0.0, 1.0)
    for place, (name, values, color) in enumerate(series):
        counts, edges = np.histogram(values[np.isfinite(values)], BINS, (low, max(high, low + 1e-6)))
        shares = counts / max(len(values), 1)
        axes.stairs(shares, edges, fill=not place, color=color, label=f"{name} ({len(values):,})", linewidth=1.5)
