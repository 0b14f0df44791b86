"""Plots of the metrics of runs over their steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from maskrcnn_jax.draw.colors import PALETTE
from maskrcnn_jax.draw.images import save_png

CURVES = ((0, 0, 0), *(color for color in PALETTE if color != (240, 228, 66)))
"""Colours of lines on white, where yellow is too light."""

Record = Mapping[str, int | float]
"""Metrics by name, and their `step`."""


def plot_curves(records: Sequence[Record], path: Path | str) -> None:
    """Draws the metrics of a run over its steps as PNG: losses, learning rate, box and mask AP.

    Args:
        records: As `training.metrics.read` returns them. Of the evaluations' metrics AP and AP50 are drawn; without any
            metric of a kind its panel is left out.
        path: The file; it is written atomically.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    panels = {
        "loss": [name for name in names if "loss" in name],
        "learning rate": [name for name in names if name.endswith(("learning_rate", "lr"))],
        "AP": [name for name in names if name.endswith(("/AP", "/AP50"))],
    }
    panels = {title: members for title, members in panels.items() if members} or {"no records yet": []}
    _plot({title: {name: _points(records, name) for name in members} for title, members in panels.items()}, path)


def compare_curves(
    runs: Mapping[str, Sequence[Record]], path: Path | str, names: Sequence[str] = ("loss", "segm/AP50")
) -> None:
    """Draws the same metrics of several runs over their steps as PNG, a panel for each.

    Args:
        runs: Records as `training.metrics.read` returns them, by the name of the run.
        path: The file; it is written atomically.
        names: The metrics.

    Raises:
        ValueError: No run or no metric is named, or no run has recorded one of them; the message lists those recorded.
    """
    if not runs or not names:
        raise ValueError("nothing to draw: name at least one run folder, and one metric such as loss")
    panels = {name: {run: _points(records, name) for run, records in runs.items()} for name in names}
    for name, lines in panels.items():
        if not any(lines.values()):
            known = dict.fromkeys(name for records in runs.values() for record in records for name in record)
            recorded = ", ".join(name for name in known if name != "step") or "nothing"
            raise ValueError(f"{name!r} is recorded in none of {', '.join(runs)}; there is {recorded}")
    _plot(panels, path)


def _points(records: Sequence[Record], name: str) -> list[tuple[float, float]]:
    return [(record["step"], record[name]) for record in records if name in record]


def _plot(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], path: Path | str) -> None:
    """Draws panels of lines, each a list of (step, value), side by side; both by name."""
    # Imported here, as it takes a third of a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from maskrcnn_jax.draw.literal_figure import LiteralFigure

    figure = LiteralFigure(figsize=(5 * len(panels), 3.6), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        handles = []
        for index, points in enumerate(lines.values()):
            color = tuple(value / 255 for value in CURVES[index % len(CURVES)])
            marker = "o" if len(points) < 30 else None
            style = "-" if index < len(CURVES) else "--"
            steps, values = [step for step, _ in points], [value for _, value in points]
            handles += axes.plot(steps, values, style, color=color, marker=marker, markersize=3, linewidth=1.5)
        axes.set(xlabel="step", title=title)
        axes.set_xlim(0)
        axes.set_ylim(0, 1 if "AP" in title else None)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(handles, list(lines), fontsize=8, frameon=False)  # also where a name begins with "_"
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    save_png(path, np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))
