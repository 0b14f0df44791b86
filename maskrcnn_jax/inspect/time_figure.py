"""A figure of where the time goes."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from maskrcnn_jax.visualize import CURVES

INK = tuple(tuple(value / 255 for value in color) for color in CURVES[1:])


def time_figure(seconds: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """A bar for each way to do a thing, made of its parts, with its whole in milliseconds at its end.

    Args:
        seconds: the way → its part → the part's time, seconds. Parts of one name have one colour.
        title: above the bars.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not seconds:
        raise ValueError("seconds is empty: give at least one bar")
    parts = list(dict.fromkeys(part for bar in seconds.values() for part in bar))
    figure = Figure(figsize=(10, 1.0 + 0.5 * len(seconds)), layout="constrained")
    axes = figure.subplots()
    ends = [0.0] * len(seconds)
    for place, part in enumerate(parts):
        lengths = [1000 * bar.get(part, 0.0) for bar in seconds.values()]
        axes.barh(list(seconds), lengths, 0.6, ends, color=INK[place % len(INK)], edgecolor="white", label=part)
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for row, end in enumerate(ends):
        axes.annotate(f"{_three_digits(end)} ms", (end, row), (4, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(ends) or 1.0)
    axes.set_xlabel("ms")
    axes.set_title(title)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if len(parts) > 1:
        figure.legend(loc="outside lower right", ncols=len(parts), frameon=False)
    return figure


def _three_digits(value: float) -> str:
    """A number of three digits, or of more before the point."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
