"""Steps on statistics of a data set: sizes and colours of images, objects, classes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from maskrcnn_jax.config import AnchorConfig
from maskrcnn_jax.draw.curves import CURVES
from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.data.inspected import InspectedData, network_scales
from maskrcnn_jax.inspect.data.numbers import DataNumbers
from maskrcnn_jax.inspect.panels import WIDTH
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table

AREAS = (256, 600, 1300)
"""Sides of the squares that bound the groups of images by area, pixels (Matterport's nucleus sample)."""
BINS = 40
CLASSES = 40
"""Number of classes that are drawn, the most frequent ones."""
BLUE, ORANGE = (tuple(value / 255 for value in CURVES[index]) for index in (4, 5))


def sizes(data: InspectedData) -> Step:
    """Sizes of the images, and the mean and deviation of their colours."""
    mean, deviation = data.numbers.colors()
    expected, found = data.config.model.input, np.asarray(data.source.sizes)
    return Step(
        "Sizes and colours",
        "Sizes of all images of the split; colours of those that were read, from 0 to 255, beside what the network "
        "subtracts and divides by. The values of ImageNet, which most networks keep, suit nearly every kind of image.",
        [size_figure(found)],
        facts={
            "Mean of red, green, blue": _three(mean),
            "subtracted": _three(expected.mean),
            "Standard deviation": _three(deviation),
            "divided by": _three(expected.std),
        },
        tables=[spread_table((("height", found[:, 0]), ("width", found[:, 1])), "Sizes, pixels")],
    )


def objects(data: InspectedData) -> Step:
    """Number, sizes and shapes of the objects."""
    scales = network_scales([image.size for image in data.numbers.images], data.config.data)
    return Step(
        "Objects",
        "How many there are, how large they are and of what shape. Sizes in the figure are those in the network's "
        "input, beside the sizes and the aspect ratios of its anchors. Objects far from every line are hard to find: "
        "change the anchors, or the size of the images.",
        [object_figure(data.numbers, scales, data.config.model.rpn.anchors)],
        tables=[object_size_table(data.numbers), area_table(data.numbers)],
    )


def classes(data: InspectedData) -> Step:
    """How many objects each class has."""
    text = "Objects of each class in the images that were read."
    return Step("Classes", text, [class_figure(data.numbers, data.names)])


def size_figure(sizes: Integer[np.ndarray, "n 2"]) -> Figure:
    """Heights, widths, and both together, of images `[n, 2]` (height, width) in pixels."""
    figure, axes = _panels(3)
    for panel, values, name in ((axes[0], sizes[:, 0], "height"), (axes[1], sizes[:, 1], "width")):
        _histogram(panel, values, _edges(values, BINS), f"{name}, pixels", "images")
    counts, heights, widths = np.histogram2d(
        sizes[:, 0], sizes[:, 1], bins=(_edges(sizes[:, 0], BINS), _edges(sizes[:, 1], BINS))
    )
    shades = axes[2].pcolormesh(widths, heights, np.where(counts > 0, counts, np.nan), cmap="viridis_r", vmin=0)
    ticks = MaxNLocator(integer=True, nbins=5, min_n_ticks=1)
    figure.colorbar(shades, ax=axes[2], label="images", ticks=ticks, format=StrMethodFormatter("{x:,.0f}"))
    axes[2].set(xlabel="width, pixels", ylabel="height, pixels", aspect="equal")
    for axis in (axes[2].xaxis, axes[2].yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    return figure


def object_figure(numbers: DataNumbers, scales: Float[np.ndarray, " i"], anchors: AnchorConfig) -> Figure:
    """Objects per image, their sizes in the network's input, and their aspect ratios, beside those of the anchors.

    Args:
        numbers: of the data set.
        scales: network pixels per stored pixel, of each image.
        anchors: whose sizes and ratios are marked.
    """
    figure, axes = _panels(3)
    counts = numbers.counts()
    _histogram(axes[0], counts, _edges(counts, BINS), "objects in an image", "images")
    boxes = numbers.objects("boxes")
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3).T
    sides = np.sqrt(width * height) * np.repeat(scales, counts)
    _logarithmic(axes[1], sides, anchors.sizes, "√ box area, pixels of the network's input")
    _logarithmic(axes[2], height / width, anchors.aspect_ratios, "box height / width")
    return figure


def class_figure(numbers: DataNumbers, class_names: Sequence[str]) -> Figure:
    """Objects per class, the most frequent classes at the top; the title says if some are left out."""
    counts = np.bincount(numbers.objects("labels"), minlength=len(class_names))
    shown = np.argsort(-counts, kind="stable")[:CLASSES]
    figure = LiteralFigure(figsize=(8, 0.8 + 0.2 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(shown)), counts[shown], color=BLUE)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), [class_names[label] for label in shown], fontsize=8)
    if len(shown) < len(counts):
        left = len(counts) - len(shown)
        axes.set_title(f"The {CLASSES} most frequent; {left} more are in the table of classes", fontsize=9)
    axes.set_xlabel("objects")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def spread_table(quantities: Sequence[tuple[str, np.ndarray]], caption: str) -> Table:
    """Mean, median and range of quantities, each with its values; NaN without values."""
    entries = []
    for name, values in quantities:
        numbers = [float("nan")] * 6
        if len(values):
            low, median, high = np.percentile(values, (5, 50, 95))
            numbers = [float(n) for n in (np.mean(values), values.min(), low, median, high, values.max())]
        entries.append((name, len(values), *numbers))
    return Table(("", "values", "mean", "least", "5 %", "median", "95 %", "greatest"), entries, caption)


def object_size_table(numbers: DataNumbers) -> Table:
    """Objects per image, and the sizes of boxes and masks in pixels of the stored images."""
    boxes = numbers.objects("boxes")
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    quantities = (
        ("objects in an image", numbers.counts()),
        ("box height", height),
        ("box width", width),
        ("√ box area", np.sqrt(width * height)),
        ("box height / width", height / width),
        ("mask area", numbers.objects("mask_areas")),
        ("share of the box that the mask covers", numbers.objects("mask_areas") / (width * height)),
    )
    return spread_table(quantities, "Objects, pixels of the stored images")


def area_table(numbers: DataNumbers) -> Table:
    """Images by their area: how many objects they have, and how large those are."""
    sides = np.sqrt([image.size[0] * image.size[1] for image in numbers.images])
    entries = []
    for low, high in zip((0, *AREAS), (*AREAS, np.inf), strict=True):
        within = np.flatnonzero((sides > low) & (sides <= high))
        images = [numbers.images[i] for i in within]
        if not images:
            continue
        part = DataNumbers(images, [])
        counts, boxes = part.counts(), part.objects("boxes")
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        name = f"up to {high}²" if np.isfinite(high) else f"above {low}²"
        medians = [float(np.median(v)) if len(v) else float("nan") for v in (height, width, np.sqrt(width * height))]
        spread = (f"{counts.mean():.1f}", int(np.median(counts)), counts.min(), counts.max())
        entries.append((name, len(images), *spread, *medians))
    objects = ("objects, mean", "median", "least", "greatest")
    columns = ("image, pixels", "images", *objects, "median box height", "width", "√ area")
    return Table(columns, entries, "Objects by the area of their image")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = LiteralFigure(figsize=(WIDTH, 3.4))
    figure.set_layout_engine("constrained", w_pad=0.12)
    grid = list(figure.subplots(1, count))
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure, grid


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges of bins that hold equally many integers each, with an empty bin at both ends."""
    low, high = int(values.min()), int(values.max())
    step = max(1, -(-(high + 1 - low) // bins))
    return np.arange(low - step, high + 2 * step + 1, step) - 0.5


def _histogram(axes: Axes, values: np.ndarray, edges: np.ndarray, label: str, what: str) -> None:
    axes.stairs(*np.histogram(values, edges), fill=True, color=BLUE)
    axes.set(xlabel=label, ylabel=what)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _logarithmic(axes: Axes, values: np.ndarray, marks: Sequence[float], label: str) -> None:
    """A histogram over octaves, with the anchors' values as lines."""
    everything = np.log2(np.concatenate([values, marks]))
    edges = 2.0 ** np.linspace(np.floor(everything.min()), np.ceil(everything.max()), BINS + 1)
    axes.stairs(*np.histogram(values, edges), fill=True, color=BLUE)
    for mark in marks:
        axes.axvline(mark, color=ORANGE, linestyle="--", label=None if mark != marks[0] else "anchors")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set(xlabel=label, ylabel="objects")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, frameon=False)


def _three(values: object) -> str:
    return ", ".join(f"{value:.1f}" for value in np.asarray(values).tolist())
