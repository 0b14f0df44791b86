"""Images whose objects are known, and a data set of them."""

from typing import Any

import numpy as np
from small import CONFIG, SIDE

from maskrcnn_jax.data import BrokenImage, Example
from maskrcnn_jax.inspect.data.inspected import InspectedData
from maskrcnn_jax.inspect.data.numbers import DataNumbers


def example(
    *objects: tuple[int, tuple[int, int, int, int]], size: tuple[int, int] = (40, 60), **fields: Any
) -> Example:
    """A black image with full rectangles: (label, box) each, (x0, y0, x1, y1)."""
    masks = []
    for _, (x0, y0, x1, y1) in objects:
        masks.append(np.zeros(size, np.uint8))
        masks[-1][y0:y1, x0:x1] = 1
    values = {
        "image": np.zeros((*size, 3), np.uint8),
        "image_id": 7,
        "boxes": np.array([box for _, box in objects], np.float32).reshape(-1, 4),
        "labels": np.array([label for label, _ in objects], np.int32),
        "is_crowd": np.zeros(len(objects), bool),
        "masks": masks,
    }
    return Example(**(values | fields))


class Images:
    """A data set of examples; None is an image that cannot be decoded."""

    class_names = ("cat", "dog", "owl")
    category_ids = (2, 5, 17)
    has_masks = True

    def __init__(self, *examples: Example | None):
        self.examples = examples
        self.sizes = np.array([(40, 60) if e is None else e.image.shape[:2] for e in examples], np.int32)
        self.num_objects = np.array([0 if e is None else len(e.labels) for e in examples], np.int32)

    @property
    def image_ids(self) -> list[int]:
        return [-1 if e is None else e.image_id for e in self.examples]

    @property
    def file_names(self) -> list[str]:
        return [f"{image_id}.jpg" for image_id in self.image_ids]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        found = self.examples[index]
        if found is None:
            raise BrokenImage(f"image {index} is broken")
        return found

    def coco(self) -> dict[str, Any]:
        raise AssertionError("no report needs it")


def inspected(**known: Any) -> InspectedData:
    """Data of which nothing but some properties is known, such as `anchor_targets`."""
    data = InspectedData(CONFIG, Images(), DataNumbers([], []), example(), (SIDE, SIDE), seed=0)
    vars(data).update(known)  # as cached properties keep their values
    return data
