"""Settings of a model that are read from values of arrays and from files beside the weights."""

from collections.abc import Mapping
from typing import NamedTuple

from maskrcnn_jax.config import ModelConfig


class Reading(NamedTuple):
    """A model with the settings that were read."""

    config: ModelConfig
    notes: tuple[str, ...] = ()
    """What was read from which source, in sentences."""
    assumed: Mapping[str, str] = {}
    """Fields such as "backbone.norm_eps" that no source has; and the reason for the assumed value."""
