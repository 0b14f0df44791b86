"""Label maps: one class per pixel, as a PNG that can be viewed and read back."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer
from PIL import Image

from maskrcnn_jax.draw.colors import distinct_color
from maskrcnn_jax.files.writing import written_whole
from maskrcnn_jax.masks.lazy_masks import as_crop
from maskrcnn_jax.structs import Detections

LARGEST = 255
"""Classes that fit into a PNG with a palette, besides the background."""


def label_map(detections: Detections, size: tuple[int, int]) -> Integer[np.ndarray, "h w"]:
    """The class of the best object at each pixel: its label + 1, and 0 where there is none.

    Args:
        detections: Of one image, with masks (`[D, h, w]` bool or `Crops`).
        size: (height, width) of the image.

    Raises:
        ValueError: The detections have no masks.
    """
    if detections.masks is None:
        raise ValueError("label map of detections without masks: the model must have a mask head")
    labels = np.zeros(size, np.uint16)
    shown = np.flatnonzero(detections.valid)
    for index in shown[np.argsort(detections.scores[shown], kind="stable")]:  # the best last, on top
        mask, y, x = as_crop(detections.masks[index])
        labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = detections.labels[index] + 1
    return labels


def save_label_map(path: Path | str, labels: Integer[np.ndarray, "h w"], classes: int) -> None:
    """Writes a label map as PNG; the file is written atomically.

    With up to 255 classes its pixels are 8 bits wide and have a colour for each class, with more 16 bits and gray.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if classes > LARGEST:
        image = Image.fromarray(labels.astype(np.uint16))
    else:
        image = Image.fromarray(labels.astype(np.uint8))
        colors = [(0, 0, 0), *(distinct_color(label) for label in range(classes))]
        image.putpalette([channel for color in colors for channel in color])
    with written_whole(path) as partial:
        image.save(partial, "PNG")


def class_table(class_names: tuple[str, ...], classes: int) -> list[dict[str, Any]]:
    """The value, name and colour of each class of a label map."""
    names = class_names or tuple(map(str, range(classes)))
    table = [{"value": 0, "name": "background", "color": [0, 0, 0]}]
    return table + [{"value": i + 1, "name": name, "color": list(distinct_color(i))} for i, name in enumerate(names)]
