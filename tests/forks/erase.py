"""A fork: a custom transform, random erasing (Zhong et al. 2020)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from maskrcnn_jax.config import Phase, Transform
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.messages.config_error import require_fraction


@dataclass(frozen=True)
class Erase(Transform):
    """Fills a random square of the image with noise."""

    probability: float = 0.5
    share: float = 0.25
    """Side of the square, as a share of the shorter side of the image."""

    name: ClassVar = "erase"

    def validate(self, where):
        require_fraction(f"{where}.probability", self.probability)
        require_fraction(f"{where}.share", self.share)

    def recolor(self, image, rng):
        if rng.random() >= self.probability:
            return image
        side = int(self.share * min(image.shape[:2]))
        y, x = rng.integers(0, image.shape[0] - side + 1), rng.integers(0, image.shape[1] - side + 1)
        image = image.copy()
        image[y : y + side, x : x + side] = rng.integers(0, 256, (side, side, 3))
        return image


base = load_config(Path("tests/configs/tiny.py"))
config = replace(
    base,
    data=replace(base.data, transforms=(*base.data.transforms, Erase(probability=0.7))),
    optimizer=replace(base.optimizer, phases=(Phase("heads", until=10), Phase("all"))),
)
