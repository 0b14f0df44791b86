"""A data set with class names and a number of images, but no images."""

from typing import Any

import numpy as np

from maskrcnn_jax.data.sources.example import Example


class NamedSource:
    """Implements `ImageSource`; reading an image or the annotations fails."""

    def __init__(self, *names: str, count: int = 1, has_masks: bool = True):
        self.has_masks = has_masks
        self.class_names, self.category_ids, self.count = names, tuple(range(len(names))), count
        self.sizes, self.num_objects = np.full((count, 2), 64, np.int32), np.zeros(count, np.int32)
        self.image_ids, self.file_names = tuple(range(count)), ("",) * count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        raise AssertionError("no image of it is read")

    def coco(self) -> dict[str, Any]:
        raise AssertionError("no image of it is read")
