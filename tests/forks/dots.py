"""A fork: a custom data set, without COCO and without files."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskrcnn_jax.config import Phase, Source
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.data import Example
from maskrcnn_jax.data.sources.examples import Examples


@dataclass(frozen=True)
class Dots(Source):
    """One bright rectangle on each dark image, flat or upright."""

    count: int = 100
    first: int = 0

    def open(self):
        return Examples(("flat", "upright"), [self.draw(self.first + i) for i in range(self.count)])

    def draw(self, image_id):
        rng = np.random.default_rng(image_id)
        label = image_id % 2
        height, width = (10, 24) if label == 0 else (24, 10)
        y, x = rng.integers(0, 64 - height), rng.integers(0, 64 - width)
        mask = np.zeros((64, 64), np.uint8)
        mask[y : y + height, x : x + width] = 1
        image = np.where(mask[..., None] > 0, rng.integers(128, 256, 3), rng.integers(0, 64, 3)).astype(np.uint8)
        box = np.array([[x, y, x + width, y + height]], np.float32)
        return Example(image, image_id, box, np.array([label], np.int32), np.array([False]), [mask])


base = load_config(Path("tests/configs/tiny.py"))
config = replace(
    base,
    model=replace(base.model, num_classes=2),
    data=replace(base.data, train=Dots(), validation=Dots(count=6, first=1000)),
    optimizer=replace(base.optimizer, phases=(Phase("3+", until=10), Phase("all"))),
)
