"""Curves, bars and histograms: figures whose axes have no frame."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, StrMethodFormatter

from maskrcnn_jax.draw.curves import CURVES
from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.colors import Color

INK: tuple[Color, ...] = tuple((red / 255, green / 255, blue / 255) for red, green, blue in CURVES)
"""Colours that are visible on white."""
BLUE, ORANGE = INK[4], INK[5]
BINS = 50


def charts(
    size: tuple[float, float],
    lines: int = 1,
    columns: int = 1,
    *,
    w_pad: float = 0.04,
    h_pad: float = 0.04,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure of some (width, height) with empty axes, line by line, and pads around each; all in inches."""
    figure = LiteralFigure(figsize=size)
    figure.set_layout_engine("constrained", w_pad=w_pad, h_pad=h_pad)
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=sharey).ravel())
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, axes


def count_in_whole_numbers(*axes: Axis) -> None:
    """Ticks at whole numbers, with a comma between thousands."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def use_logarithm(axes: Axes, base: int) -> None:
    """A logarithmic x axis whose ticks are plain numbers."""
    axes.set_xscale("log", base=base)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def bare(axes: Axes, title: str, ticks: int) -> None:
    """Axes of a small histogram: a title, about so many ticks below, and no heights."""
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.locator_params("x", nbins=ticks)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)


def heat_map(axes: Axes, values: Float[np.ndarray, "n m"], columns: Sequence[str]) -> AxesImage:
    """Values in [0, 1] as colours from dark blue to yellow, with the names of their columns below."""
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    return axes.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
