"""Figures of pictures and their annotated objects: as they are stored, and as the network gets them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.geometry import mask_bounds
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.panels import Ink, class_colors, distinct_colors, draw_boxes, fade, legend, panels, show, tint
from maskrcnn_jax.masks.paste import paste_mask
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Batch, GroundTruth

CLASSES = 4
"""Beside a sample, at most."""
WHITE = (1.0, 1.0, 1.0)


def mask_boxes(example: Example) -> Float[np.ndarray, "n 4"]:
    """The box around each mask: its first and last column and row, the last one included.

    Returns:
        `[n, 4]` `(x0, y0, x1, y1)` pixels; of zero size at the origin where a mask has no pixel.
    """
    height, width = example.image.shape[:2]
    whole = np.array([0.0, 0.0, width, height])
    return np.array([mask_bounds(mask, whole) for mask in example.masks]).reshape(-1, 4)


def box_table(example: Example, class_names: Sequence[str]) -> Table:
    """Every object's box as annotated and around its mask, and how far their sides lie apart at most, pixels."""
    tight = mask_boxes(example)
    names = _names(example, class_names)
    rows = [
        (name, *(", ".join(f"{side:.1f}" for side in box) for box in pair), float(np.abs(np.subtract(*pair)).max()))
        for name, *pair in zip(names, example.boxes, tight, strict=True)
    ]
    return Table(("object", "annotated box", "box of the mask", "distance"), rows, "Boxes (x0, y0, x1, y1)")


def sample_figure(example: Example, class_names: Sequence[str]) -> Figure:
    """A picture, and beside it the classes that cover most of it, each instance in a colour of its own.

    Args:
        example: from an `ImageSource`.
        class_names: one per label.
    """
    figure, axes = panels(1 + CLASSES, 1 + CLASSES, example.image.shape)
    height, width = example.image.shape[:2]
    objects = pluralize(len(example.labels), "object")
    show(axes[0], example.image, f"id {example.image_id}: {height} × {width}, {objects}")
    areas: Counter[int] = Counter()
    for label, mask in zip(example.labels.tolist(), example.masks, strict=True):
        areas[label] += int(np.count_nonzero(mask))
    pale = fade(example.image)
    for panel, (label, area) in zip(axes[1:], areas.most_common(CLASSES), strict=False):
        instances = np.flatnonzero(example.labels == label).tolist()
        share = area / (height * width)
        percent = f"{share:.1%}" if share >= 0.001 else "below 0.1%"
        title = f"{class_names[label]} × {len(instances)}, {percent}"
        show(panel, pale, title)
        tint(panel, (example.masks[i] > 0 for i in instances), distinct_colors(len(instances)), 0.9)
    return figure


def boxes_figure(example: Example, class_names: Sequence[str]) -> Figure:
    """Every object's mask, the box around it with a full line, and the annotated box with a white dashed one.

    Args:
        example: from an `ImageSource`.
        class_names: one per label.
    """
    figure, [axes] = panels(1, 1, example.image.shape)
    show(axes, example.image, f"id {example.image_id}: boxes of the masks full, annotated boxes dashed")
    chosen = class_colors(example.labels.tolist())
    colors = [chosen[label] for label in example.labels.tolist()]
    tint(axes, (mask > 0 for mask in example.masks), colors)
    draw_boxes(axes, mask_boxes(example), colors, width=2.4)
    draw_boxes(axes, example.boxes, [WHITE] * len(colors), "--", 0.8)
    legend(figure, {class_names[label]: Ink(color) for label, color in chosen.items()})
    return figure


def input_figure(rows: Sequence[Batch], class_names: Sequence[str], columns: int) -> Figure:
    """What the network gets: padded pictures with boxes, and with the masks that the crops of the ground truth hold.

    Crowds have dotted boxes.

    Args:
        rows: training rows, at least one, of one padded size: no leading `B`.
        class_names: one per label.
        columns: panels side by side.
    """
    figure, axes = panels(len(rows), columns, rows[0].images.shape)
    chosen = class_colors(label for row in rows for label in row.ground_truth.labels[row.ground_truth.valid].tolist())
    for panel, row in zip(axes, rows, strict=True):
        height, width = row.image_sizes.astype(int).tolist()
        show(panel, row.images, f"picture {height} × {width}")
        truth = GroundTruth(*(field[row.ground_truth.valid] for field in row.ground_truth))
        colors = [chosen[label] for label in truth.labels.tolist()]
        tint(panel, full_masks(truth, row.images.shape), colors)
        draw_boxes(panel, truth.boxes, colors, [":" if crowd else "-" for crowd in truth.is_crowd])
    legend(figure, {class_names[label]: Ink(color) for label, color in chosen.items()})
    return figure


def full_masks(truth: GroundTruth, shape: Sequence[int]) -> Iterable[Bool[np.ndarray, "H W"]]:
    """The masks of one image's valid slots over the padded picture, one at a time."""
    for slot in np.flatnonzero(truth.valid):
        yield paste_mask(truth.masks[slot].astype(np.float32), truth.mask_extent[slot], shape[0], shape[1])


def _names(example: Example, class_names: Sequence[str]) -> list[str]:
    pairs = zip(example.labels.tolist(), example.is_crowd.tolist(), strict=True)
    return [class_names[label] + " (crowd)" * crowd for label, crowd in pairs]
