"""Plots of a network's weights: layer by layer, histograms, and changes."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.charts import BINS, BLUE, ORANGE, bare, charts, use_logarithm
from maskrcnn_jax.inspect.panels import WIDTH
from maskrcnn_jax.inspect.weights.change import Change
from maskrcnn_jax.inspect.weights.tensor_stats import TensorStats

LAYERS = 60
"""In one figure, at most."""
COLUMNS, LINES = 4, 6
"""Histograms side by side, and one below another, in one figure, at most."""
Item = TypeVar("Item")


def layer_figures(tensors: Sequence[TensorStats]) -> Iterator[Figure]:
    """Norm, size and share of zeros of every kernel, from the stem down to the heads; flagged ones are crosses."""
    kernels = [tensor for tensor in tensors if tensor.kind.role == "kernel"]
    norms, sizes = _decades([one.numbers.norm for one in kernels]), _decades([one.size for one in kernels])
    for page in _pages(kernels, LAYERS):
        figure, (left, middle, right) = _layers([one.name for one in page], 3)
        flagged = [bool(one.flags) for one in page]
        _points(left, [one.numbers.norm for one in page], flagged, "norm", norms)
        _points(middle, [one.size for one in page], flagged, "root mean square · √fan-in", sizes)
        _points(right, [100 * one.numbers.zeros for one in page], flagged, "zeros, %")
        right.set_xlim(-3, 103)
        yield figure


def change_figures(changes: Sequence[Change]) -> Iterator[Figure]:
    """Relative change and angle of every kernel, from the stem down to the heads; without change there is no point.

    If no kernel changed there is no figure.
    """
    kernels = [change for change in changes if len(change.shape) > 1]
    relative = {change.name: change.relative for change in kernels if change.difference}
    for page in _pages(kernels if relative else [], LAYERS):
        figure, (left, right) = _layers([change.name for change in page], 2)
        changed, unflagged = [relative.get(change.name, math.nan) for change in page], [False] * len(page)
        _points(left, changed, unflagged, "‖after − before‖ / ‖before‖", _decades(relative.values()))
        angles = np.degrees(np.arccos(np.clip([change.cosine for change in page], -1, 1)))
        _points(right, np.where(np.isnan(changed), np.nan, angles), unflagged, "angle between before and after, °")
        right.set(xlim=(-5, 185), xticks=range(0, 181, 30))
        yield figure


def histogram_figures(arrays: Mapping[str, np.ndarray], tensors: Sequence[TensorStats], role: str) -> Iterator[Figure]:
    """Histograms of all finite values of each array of a role, in 50 bins; orange ones are flagged."""
    for page in _pages([one for one in tensors if one.kind.role == role], COLUMNS * LINES):
        height = -(-len(page) // COLUMNS)
        figure, grid = charts((WIDTH, 0.3 + 1.75 * height), height, COLUMNS, w_pad=0.15, h_pad=0.08)
        for axes, tensor in zip(grid, page, strict=False):
            values = np.asarray(arrays[tensor.name]).ravel().astype(np.float32)
            counts, edges = np.histogram(values[np.isfinite(values)], BINS)
            axes.stairs(counts, edges, fill=True, color=ORANGE if tensor.flags else BLUE)
            bare(axes, _short(tensor.name, 38), 4)
        for axes in grid[len(page) :]:
            axes.set_axis_off()
        yield figure


def _pages(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """The items in groups of equal size, at most `most`."""
    count = -(-len(items) // most)
    share = -(-len(items) // count) if count else 1
    return [items[start : start + share] for start in range(0, len(items), share)]


def _layers(names: Sequence[str], panels: int) -> tuple[Figure, list[Axes]]:
    """Panels side by side with a line for each name."""
    figure, grid = charts((WIDTH, 1.2 + 0.19 * len(names)), 1, panels, w_pad=0.12, sharey=True)
    parts = list(dict.fromkeys(_part(name) for name in names))
    for axes in grid:
        axes.set_ylim(len(names) - 0.4, -0.6)
        for index, name in enumerate(names):  # every second part of the network has a gray background
            if parts.index(_part(name)) % 2:
                axes.axhspan(index - 0.5, index + 0.5, color="0.94", linewidth=0)
        axes.grid(axis="x", alpha=0.3)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(names)), [_short(name, 44) for name in names])
    return figure, grid


def _points(
    axes: Axes,
    values: Sequence[float] | np.ndarray,
    flagged: Sequence[bool],
    label: str,
    decades: tuple[int, int] | None = None,
) -> None:
    """A point on each line, a cross if flagged, for values that can be shown; the axis is logarithmic with decades."""
    drawn, lines = np.array(values, np.float64), np.arange(len(values))
    drawn[~np.isfinite(drawn) | (decades is not None and drawn <= 0)] = np.nan
    marked = np.array(flagged, bool)
    axes.plot(drawn[~marked], lines[~marked], "o", color=BLUE, markersize=4)
    axes.plot(drawn[marked], lines[marked], "X", color=ORANGE, markersize=7)
    if decades is not None:
        use_logarithm(axes, 10)
        axes.set_xlim(10.0 ** decades[0], 10.0 ** decades[1])
    axes.set_xlabel(label)
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """The powers of ten around all values that have a logarithm."""
    powers = [math.log10(value) for value in values if math.isfinite(value) and value > 0] or [0.0]
    least, greatest = math.floor(min(powers)), math.ceil(max(powers))
    return least, max(greatest, least + 1)


def _part(name: str) -> str:
    """`"backbone.layer1.0.convs.0.conv.kernel"` belongs to `"backbone.layer1"`, of a head everything to the head."""
    part, *rest = name.replace("/", ".").split(".")
    return f"{part}.{rest[0]}" if part == "backbone" and rest else part


def _short(name: str, length: int) -> str:
    name = name.removesuffix(".kernel").removesuffix(".conv")
    return name if len(name) <= length else f"…{name[1 - length :]}"
