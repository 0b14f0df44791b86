"""Weights that a caller has in memory."""

import logging
from collections.abc import Mapping
from typing import Any

from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.formats.state_dict import find_state_dict, summary

log = logging.getLogger(__name__)


def given_arrays(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arrays of a state dict, or of a checkpoint that holds one, as a file's are found.

    Mappings other than dicts, which may read from a disk, are returned as they are.

    Args:
        source: arrays by name, or what `torch.load` gives.

    Raises:
        ConversionError: there are no arrays.
    """
    if not isinstance(source, dict):
        return source
    found = find_state_dict(source, _is_array, _kind)
    if found is None:
        raise ConversionError(f"these are no weights: wanted a dict of arrays by name, found {summary(source, _kind)}")
    if found.others:
        others = ", ".join(map(repr, found.others))
        log.warning("the weights under %r are used; those under %s are not", found.path, others)
    return found.arrays


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _kind(value: Any) -> str:
    return type(value).__name__
