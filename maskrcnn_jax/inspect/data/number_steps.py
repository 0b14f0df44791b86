"""Steps on statistics of a data set: sizes and colours of images, objects, classes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

from maskrcnn_jax.config import AnchorConfig
from maskrcnn_jax.inspect.charts import BLUE, ORANGE, charts, count_in_whole_numbers, use_logarithm
from maskrcnn_jax.inspect.data.inspected import InspectedData, network_scales
from maskrcnn_jax.inspect.data.numbers import DataNumbers
from maskrcnn_jax.inspect.panels import WIDTH
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table

AREAS = (256, 600, 1300)
"""Sides of the squares that bound the groups of images by area, pixels (Matterport's nucleus sample)."""
BINS = 40
THREE = (WIDTH, 3.4)
"""Width and height of a figure of three histograms, inches."""
CLASSES = 40
"""Number of classes that are drawn, the most frequent ones."""


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
    figure, (left, middle, right) = charts(THREE, 1, 3, w_pad=0.12)
    heights = _histogram(left, sizes[:, 0], "height, pixels")
    widths = _histogram(middle, sizes[:, 1], "width, pixels")
    counts, *_ = np.histogram2d(sizes[:, 0], sizes[:, 1], bins=(heights, widths))
    shades = right.pcolormesh(widths, heights, np.where(counts > 0, counts, np.nan), cmap="viridis_r", vmin=0)
    ticks = MaxNLocator(integer=True, nbins=5, min_n_ticks=1)
    figure.colorbar(shades, ax=right, label="images", ticks=ticks, format=StrMethodFormatter("{x:,.0f}"))
    right.set(xlabel="width, pixels", ylabel="height, pixels", aspect="equal")
    count_in_whole_numbers(right.xaxis, right.yaxis)
    return figure


def object_figure(numbers: DataNumbers, scales: Float[np.ndarray, " i"], anchors: AnchorConfig) -> Figure:
    """Objects per image, their sizes in the network's input, and their aspect ratios, beside those of the anchors.

    Scales are network pixels per stored pixel, of each image.
    """
    figure, (left, middle, right) = charts(THREE, 1, 3, w_pad=0.12)
    counts = numbers.counts()
    _histogram(left, counts, "objects in an image")
    height, width = np.maximum(numbers.box_sides(), 1e-3).T
    sides = np.sqrt(width * height) * np.repeat(scales, counts)
    _logarithmic(middle, sides, anchors.sizes, "√ box area, pixels of the network's input")
    _logarithmic(right, height / width, anchors.aspect_ratios, "box height / width")
    return figure


def class_figure(numbers: DataNumbers, class_names: Sequence[str]) -> Figure:
    """Objects per class, the most frequent classes at the top; the title says if some are left out."""
    counts = np.bincount(numbers.objects("labels"), minlength=len(class_names))
    shown = np.argsort(-counts, kind="stable")[:CLASSES]
    figure, [axes] = charts((8, 0.8 + 0.2 * len(shown)))
    axes.barh(range(len(shown)), counts[shown], color=BLUE)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), [class_names[label] for label in shown], fontsize=8)
    if len(shown) < len(counts):
        left = len(counts) - len(shown)
        axes.set_title(f"The {CLASSES} most frequent; {left} more are in the table of classes", fontsize=9)
    axes.set_xlabel("objects")
    count_in_whole_numbers(axes.xaxis)
    return figure


def spread_table(quantities: Sequence[tuple[str, np.ndarray]], caption: str) -> Table:
    """Mean, median and range of quantities, each with its values; NaN without values."""
    entries = []
    for name, values in quantities:
        some = values if len(values) else np.full(1, np.nan)
        entries.append((name, len(values), float(some.mean()), *np.percentile(some, (0, 5, 50, 95, 100)).tolist()))
    return Table(("", "values", "mean", "least", "5 %", "median", "95 %", "greatest"), entries, caption)


def object_size_table(numbers: DataNumbers) -> Table:
    """Objects per image, and the sizes of boxes and masks in pixels of the stored images."""
    height, width = numbers.box_sides().T
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
        counts, (height, width) = part.counts(), part.box_sides().T
        name = f"up to {high}²" if np.isfinite(high) else f"above {low}²"
        medians = [float(np.median(v)) if len(v) else float("nan") for v in (height, width, np.sqrt(width * height))]
        spread = (f"{counts.mean():.1f}", int(np.median(counts)), counts.min(), counts.max())
        entries.append((name, len(images), *spread, *medians))
    objects = ("objects, mean", "median", "least", "greatest")
    columns = ("image, pixels", "images", *objects, "median box height", "width", "√ area")
    return Table(columns, entries, "Objects by the area of their image")


def _histogram(axes: Axes, values: Integer[np.ndarray, " i"], label: str) -> np.ndarray:
    """A histogram of images; its edges, of bins of equally many integers each, with an empty one at both ends."""
    low, high = int(values.min()), int(values.max())
    step = max(1, -(-(high + 1 - low) // BINS))
    edges = np.arange(low - step, high + 2 * step + 1, step) - 0.5
    axes.stairs(*np.histogram(values, edges), fill=True, color=BLUE)
    axes.set(xlabel=label, ylabel="images")
    count_in_whole_numbers(axes.xaxis, axes.yaxis)
    return edges


def _logarithmic(axes: Axes, values: np.ndarray, marks: Sequence[float], label: str) -> None:
    """A histogram over octaves, with the anchors' values as lines."""
    everything = np.log2(np.concatenate([values, marks]))
    edges = 2.0 ** np.linspace(np.floor(everything.min()), np.ceil(everything.max()), BINS + 1)
    axes.stairs(*np.histogram(values, edges), fill=True, color=BLUE)
    for mark in marks:
        axes.axvline(mark, color=ORANGE, linestyle="--", label=None if mark != marks[0] else "anchors")
    use_logarithm(axes, 2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set(xlabel=label, ylabel="objects")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, frameon=False)


def _three(values: object) -> str:
    return ", ".join(f"{value:.1f}" for value in np.asarray(values).tolist())
