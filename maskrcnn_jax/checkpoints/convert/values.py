"""What the values of arrays, and files beside a file of weights, say of its model."""

from collections.abc import Mapping
from typing import NamedTuple

from maskrcnn_jax.config import ModelConfig


class Reading(NamedTuple):
    """A model after what was read."""

    config: ModelConfig
    notes: tuple[str, ...] = ()
    """What was taken from where, in sentences."""
    assumed: Mapping[str, str] = {}
    """Fields such as "backbone.norm_eps" that nothing says; and what the assumption rests on."""
