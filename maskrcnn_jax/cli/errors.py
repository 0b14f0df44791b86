"""Errors that the user can correct."""

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.data.images.broken import BrokenImage

USER_ERRORS = (ConfigError, CheckpointError, WeightFileError, ConversionError, BrokenImage, OSError)
"""Errors of which the command line prints the message alone."""
