"""Which entries of a checkpoint are the weights of the model."""

import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskrcnn_jax.convert.stored import StoredArray, WeightFileError, stored_view
from maskrcnn_jax.convert.unpickle import PickledArray

CONTAINERS = ("model", "state_dict", "model_state", "model_ema", "ema", "blobs")
"""Where training programs put the weights; the first that is there is taken."""

OPTIMIZER = "_momentum"
"""How the names of Caffe2's optimiser state end, which lies among the weights."""


def find_weights(loaded: Any, path: Path, file_size: int) -> dict[str, StoredArray]:
    """The arrays of a state dict, or of a checkpoint that holds one.

    Entries that are no arrays are left out, and so is Caffe2's optimiser state. Counters such as `num_batches_tracked`
    stay: they tell a batch norm that was trained from a frozen one. The prefix "module." of torch's DataParallel is
    taken off where all names have it.

    Args:
        loaded: the object that a pickle gave.
        path: the name of the file, for messages.
        file_size: in bytes; an array that takes more, as a broadcast one may, is refused.

    Raises:
        WeightFileError: there are no arrays, or the description of one is wrong.
    """
    found = _state_dict(loaded)
    if not found:
        raise WeightFileError(
            f"{path} holds no weights: wanted a dict of arrays by name, by itself or under one of {list(CONTAINERS)}; "
            f"found {_summary(loaded)}. Save `model.state_dict()`"
        )
    prefix = "module." if all(name.startswith("module.") for name in found) else ""
    weights = {name.removeprefix(prefix): array for name, array in found.items() if not name.endswith(OPTIMIZER)}
    return {name: _stored(array, f"{path}: {name}", file_size) for name, array in weights.items()}


def _state_dict(loaded: Any) -> dict[str, PickledArray]:
    if not isinstance(loaded, dict):
        return {}
    for container in CONTAINERS:
        if isinstance(loaded.get(container), dict):
            return _arrays(loaded[container])
    return _arrays(loaded)


def _arrays(entries: Mapping[Any, Any]) -> dict[str, PickledArray]:
    return {k: v for k, v in entries.items() if isinstance(k, str) and isinstance(v, PickledArray)}


def _stored(array: PickledArray, name: str, file_size: int) -> StoredArray:
    try:
        view = array.view()
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise WeightFileError(f"{name} is described wrongly, the file is damaged: {error}") from error
    if math.prod(view.shape) * view.itemsize > file_size:
        raise WeightFileError(f"{name} of shape {view.shape} is larger than the whole file")
    return stored_view(view)


def _summary(loaded: Any) -> str:
    """What an object is, by types alone: the values may be of any size."""
    if not isinstance(loaded, dict):
        return f"a {type(loaded).__name__}"
    entries = [f"{reprlib.repr(key)}: {type(value).__name__}" for key, value in list(loaded.items())[:10]]
    return f"a dict of {len(loaded)} entries, {{{', '.join(entries)}}}"
