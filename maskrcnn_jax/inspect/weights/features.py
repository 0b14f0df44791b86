"""Magnitude of a network's features on an image of noise: with wrong input conventions they explode."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import Config, ModelConfig
from maskrcnn_jax.inspect.weights.source import WeightSource
from maskrcnn_jax.nn import params as weights
from maskrcnn_jax.ops.images import normalize, valid_regions

SIDE = 128
"""Of the image, pixels."""
EXPLODED = 1e3
"""Mean magnitude above which features are too large for a trained network, where they are about 1."""


def feature_means(source: WeightSource) -> dict[str, float]:
    """The mean magnitude of the features of each level on an image of noise; NaN or infinite if they overflow.

    By level, "P2" to "P6", or "C2" to "C5" of a backbone alone; empty if the arrays are not those of a backbone that
    the configuration describes.
    """
    if source.config is None:
        return {}
    model = abstract_model(dataclasses.replace(Config(), model=source.config))
    backbone, fpn = (_filled(getattr(model, part), f"{part}.", source.arrays) for part in ("backbone", "fpn"))
    if backbone is None:
        return {}
    levels = jax.device_get(_means(backbone, fpn, _noise(source.config)))
    first = "C" if fpn is None else "P"
    return {f"{first}{level}": float(mean) for level, mean in enumerate(levels, 2)}


def exploded(means: Mapping[str, float]) -> list[str]:
    """Levels whose features are too large or not finite."""
    return [level for level, mean in means.items() if not mean <= EXPLODED]


def _noise(config: ModelConfig) -> jax.Array:
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    sizes = jnp.full((1, 2), SIDE, jnp.float32)
    windows = valid_regions(sizes, (SIDE, SIDE), config.input)
    return normalize(jnp.asarray(pixels), windows, config.input).astype(config.dtype)


@jax.jit
def _means(backbone: Any, fpn: Any, image: jax.Array) -> list[jax.Array]:
    features = backbone(image)
    return [jnp.abs(level.astype(jnp.float32)).mean() for level in (features if fpn is None else fpn(features))]


def _filled(module: Any, prefix: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """A module with its arrays; None if some are missing or of other shapes."""
    given = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    structure, params, statistics = weights.flatten(module)
    wanted = params | statistics
    if any(name not in given or given[name].shape != leaf.shape for name, leaf in wanted.items()):
        return None
    filled = ({name: jnp.asarray(given[name]) for name in part} for part in (params, statistics))
    return weights.unflatten(structure, *filled)
