"""Random brightness, contrast and saturation."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.messages.config_error import require_fraction

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Scales brightness, contrast and saturation by random factors."""

    strength: float = 0.4
    """0.4 scales each by 0.6 … 1.4."""

    name: ClassVar = "color_jitter"
    shares_generator: ClassVar = True

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_fraction(f"{where}.strength", self.strength)

    def recolor(self, image: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
        """Draws the factors and applies them; see `Transform.recolor`."""
        return jitter_color(image, self.strength, rng) if self.strength else image


def jitter_color(
    image: UInt8[np.ndarray, "H W 3"], strength: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Scales brightness, contrast and saturation by random factors in `[1 - strength, 1 + strength]`.

    The three are one affine map of RGB, applied with a single rounding.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    gray = np.ones((3, 1)) * LUMA
    saturate = saturation * np.eye(3) + (1 - saturation) * gray
    mean = brightness * np.dot(LUMA, cv2.mean(image)[:3])
    matrix = np.column_stack([brightness * contrast * saturate, np.full(3, (1 - contrast) * mean)])
    return cv2.transform(image, matrix)
