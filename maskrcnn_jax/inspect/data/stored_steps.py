"""Steps on stored images: classes, samples with masks, boxes beside those of the masks."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.inspect.colors import Ink, class_colors, distinct_colors, label_colors
from maskrcnn_jax.inspect.data.inspected import InspectedData
from maskrcnn_jax.inspect.data.numbers import DataNumbers, mask_boxes
from maskrcnn_jax.inspect.panels import draw_boxes, fade, legend, panel, panels, show, tint
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.messages.counts import pluralize

SAMPLES = 4
"""Images that are shown with their masks."""
CLASSES = 4
"""Beside a sample, at most."""
WHITE = (1.0, 1.0, 1.0)


def data_set(data: InspectedData) -> Step:
    """The number of images and classes, and the classes by label."""
    source, numbers = data.source, data.numbers
    broken = Table(("message",), [(message,) for message in numbers.broken], "Broken images")
    return Step(
        "The data set",
        "Labels count from 0, and background is not a class. Marked classes have no object among the images that were "
        "read.",
        facts={
            "Images": f"{len(source):,}",
            "read": f"{len(numbers.images):,}",
            "broken": len(numbers.broken),
            "Classes": len(data.names),
        },
        tables=[class_table(numbers, source), *([broken] if numbers.broken else [])],
    )


def samples(data: InspectedData) -> Step:
    """Random images with the masks of their largest classes."""
    drawn = data.rng(1).permutation([image.position for image in data.numbers.images])[:SAMPLES].tolist()
    return Step(
        "Samples with masks",
        f"{pluralize(len(drawn), 'image')}, drawn at random. Beside each are the classes that cover most of it, with "
        "their share of the image; every instance has a colour of its own.",
        (sample_figure(data.source[position], data.names) for position in drawn),
    )


def boxes(data: InspectedData) -> Step:
    """Annotated boxes beside the boxes around the masks."""
    example = data.example
    distances = data.numbers.objects("distances")
    worst = max(data.numbers.images, key=lambda image: image.distances.max(initial=0))
    return Step(
        "Boxes from masks",
        "A mask's box reaches from its first to its last column and row. Annotated boxes come from outlines, so a "
        "difference of about a pixel is normal; a larger one means that box and mask do not match. The next "
        "steps show the same image.",
        [boxes_figure(example, data.names)],
        facts={
            "Image": f"id {example.image_id}",
            "Objects": len(example.labels),
            "Objects compared": len(distances),
            "Largest distance of their sides": f"{distances.max(initial=0):.2f} pixels, in image {worst.image_id}",
            "above 2 pixels": int((distances > 2).sum()),
        },
        tables=[box_table(example, data.names)],
    )


def class_table(numbers: DataNumbers, source: ImageSource) -> Table:
    """The classes: label, name, the data set's own number, and their frequency in the images that were read."""
    labels, crowds = numbers.objects("labels"), numbers.objects("is_crowd")
    total = max(len(labels), 1)
    entries = []
    for label, (name, category) in enumerate(zip(source.class_names, source.category_ids, strict=True)):
        mine = labels == label
        images = sum(label in image.labels for image in numbers.images)
        entries.append((label, name, category, mine.sum(), f"{mine.sum() / total:.1%}", crowds[mine].sum(), images))
    columns = ("label", "class", "id in the data", "objects", "share", "of them crowds", "images")
    return Table(columns, entries, "Classes", [entry[0] for entry in entries if entry[3] == 0])


def box_table(example: Example, class_names: Sequence[str]) -> Table:
    """Every object's box as annotated and around its mask, and the largest distance of their sides, pixels."""
    entries = []
    objects = zip(example.labels.tolist(), example.is_crowd.tolist(), example.boxes, mask_boxes(example), strict=True)
    for label, crowd, *pair in objects:
        texts = (", ".join(f"{side:.1f}" for side in box) for box in pair)
        distance = float(np.abs(np.subtract(*pair)).max())
        entries.append((class_names[label] + " (crowd)" * crowd, *texts, distance))
    return Table(("object", "annotated box", "box of the mask", "distance"), entries, "Boxes (x0, y0, x1, y1)")


def sample_figure(example: Example, class_names: Sequence[str]) -> Figure:
    """An image, and beside it the classes that cover most of it, each instance in a colour of its own."""
    figure, [first, *others] = panels(1 + CLASSES, 1 + CLASSES, example.image.shape)
    height, width = example.image.shape[:2]
    objects = pluralize(len(example.labels), "object")
    show(first, example.image, f"id {example.image_id}: {height} × {width}, {objects}")
    areas: Counter[int] = Counter()
    for label, mask in zip(example.labels.tolist(), example.masks, strict=True):
        areas[label] += int(np.count_nonzero(mask))
    pale = fade(example.image)
    for axes, (label, area) in zip(others, areas.most_common(CLASSES), strict=False):
        instances, share = np.flatnonzero(example.labels == label).tolist(), area / (height * width)
        percent = f"{share:.1%}" if share >= 0.001 else "below 0.1%"
        show(axes, pale, f"{class_names[label]} × {len(instances)}, {percent}")
        tint(axes, (example.masks[i] > 0 for i in instances), distinct_colors(len(instances)), 0.9)
    return figure


def boxes_figure(example: Example, class_names: Sequence[str]) -> Figure:
    """Every object's mask, the box around it with a full line, and the annotated box with a white dashed one."""
    title = f"id {example.image_id}: boxes of the masks full, annotated boxes dashed"
    figure, axes = panel(example.image, title)
    colors = label_colors(example.labels)
    tint(axes, (mask > 0 for mask in example.masks), colors)
    draw_boxes(axes, mask_boxes(example), colors, width=2.4)
    draw_boxes(axes, example.boxes, WHITE, "--", 0.8)
    legend(figure, {class_names[label]: Ink(color) for label, color in class_colors(example.labels.tolist()).items()})
    return figure
