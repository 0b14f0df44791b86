"""Pixel transforms of the library albumentations: blur, noise, compression and the like."""

import importlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.messages.config_error import ConfigError, require


@dataclass(frozen=True)
class Albumentations(Transform):
    """Applies one pixel-only transform of albumentations. The library is needed only if it is used.

    Several of them need different names.
    """

    transform: str = "GaussianBlur"
    """Its name in albumentations: "GaussianBlur", "GaussNoise", "ImageCompression", …"""
    parameters: str = "{}"
    """Its arguments as a JSON object: '{"blur_limit": [3, 7], "p": 0.5}'."""
    name: str = "albumentations"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`. That albumentations has the transform is checked in training."""
        require(self.transform.isidentifier(), f"{where}.transform", self.transform, "must name a transform")
        self._arguments(f"{where}.parameters")

    def recolor(self, image: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
        """Applies it, seeded by `rng`; see `Transform.recolor`.

        Raises:
            ConfigError: albumentations is missing, has no such pixel transform, or rejects the parameters.
        """
        return self._composed(int(rng.integers(2**32)))(image=image)["image"]

    def _composed(self, seed: int) -> Any:
        where = f"data.transforms.{self.name}"
        try:
            library = importlib.import_module("albumentations")
        except ImportError as error:
            remedy = f"needs albumentations, which cannot be imported ({error}); pip install albumentations"
            raise ConfigError(f"{where} = {self!r}: {remedy}") from error
        kind: Any = getattr(library, self.transform, None)
        known = isinstance(kind, type) and issubclass(kind, library.ImageOnlyTransform)
        remedy = "must be a transform of albumentations that changes pixels alone (an ImageOnlyTransform)"
        require(known, f"{where}.transform", self.transform, remedy)
        try:
            return library.Compose([kind(**self._arguments(f"{where}.parameters"))], seed=seed)
        except (TypeError, ValueError) as error:
            found, reason = f"{where}.parameters = {self.parameters!r}", " ".join(str(error).split())
            raise ConfigError(f"{found}: {self.transform} does not accept them ({reason}); correct them") from error

    def _arguments(self, where: str) -> dict[str, Any]:
        try:
            found = json.loads(self.parameters)
        except ValueError:
            found = None
        require(isinstance(found, dict), where, self.parameters, "must be a JSON object, such as '{\"p\": 0.5}'")
        return found
