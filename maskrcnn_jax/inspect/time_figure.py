"""A figure of the time that parts of a computation take."""

from collections.abc import Collection, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.charts import INK

Seconds = Mapping[str, Mapping[str, float]]
"""Variant → part → time of the part, seconds."""


def time_figure(seconds: Seconds, title: str = "", closer: Collection[str] = ()) -> Figure:
    """A bar for each variant, divided into parts, labelled with the total in milliseconds.

    Args:
        seconds: parts of one name have one colour.
        title: above the bars.
        closer: variants that are drawn again below at a larger scale.

    Raises:
        ValueError: there are no bars, or `closer` names one that does not exist.
    """
    unknown = [name for name in closer if name not in seconds]
    if not seconds or unknown:
        raise ValueError(f"closer = {unknown} of {list(seconds)}: give at least one bar, and names of bars")
    parts = list(dict.fromkeys(part for bar in seconds.values() for part in bar))
    colors = {part: INK[1 + index % (len(INK) - 1)] for index, part in enumerate(parts)}
    shown: list[Seconds] = [seconds, *([{name: seconds[name] for name in closer}] if closer else [])]
    lines = [len(bars) for bars in shown]
    figure = LiteralFigure(figsize=(10, 0.5 + sum(0.5 + 0.5 * count for count in lines)), layout="constrained")
    grid = figure.subplots(len(shown), squeeze=False, height_ratios=lines)[:, 0]
    for axes, bars in zip(grid, shown, strict=True):
        _draw(axes, bars, colors)
    grid[0].set_title(title)
    grid[-1].set_xlabel("ms")
    if len(parts) > 1:
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower right", ncols=len(parts), frameon=False)
    return figure


def _draw(axes: Axes, seconds: Seconds, colors: Mapping[str, tuple[float, ...]]) -> None:
    ends = [0.0] * len(seconds)
    for part, color in colors.items():
        lengths = [1000 * bar.get(part, 0.0) for bar in seconds.values()]
        axes.barh(list(seconds), lengths, 0.6, ends, color=color, edgecolor="white", label=part)
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for row, end in enumerate(ends):
        axes.annotate(f"{_three_digits(end)} ms", (end, row), (4, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(ends) or 1.0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _three_digits(value: float) -> str:
    """A number of three digits, or of more before the point."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
