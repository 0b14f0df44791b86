"""Parts of a model that the backward pass recomputes: more time, less memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flax import nnx

from maskrcnn_jax.config import ConfigError


class Rematerialized(nnx.Module):
    """A part of which only inputs and outputs are kept for the backward pass."""

    def __init__(self, part: nnx.Module):
        self.part = part

    def __call__(self, *args: Any) -> Any:
        return _call(self.part, *args)


@nnx.remat
def _call(part: Any, *args: Any) -> Any:
    return part(*args)


@contextmanager
def rematerialized(model: nnx.Module, names: Sequence[str]) -> Iterator[None]:
    """Within the context the named parts are `Rematerialized`; the weights and their names stay as they are.

    Args:
        model: the network.
        names: dotted paths of attributes and indices. Of a list, such as the blocks of a stage, each entry is a part.

    Raises:
        ConfigError: the model has no such part.
    """
    slots = [slot for name in names for slot in _slots(model, name)]
    parts = [_get(owner, key) for owner, key in slots]
    for (owner, key), part in zip(slots, parts, strict=True):
        _set(owner, key, Rematerialized(part))
    try:
        yield
    finally:
        for (owner, key), part in zip(slots, parts, strict=True):
            _set(owner, key, part)


def _slots(model: nnx.Module, name: str) -> list[tuple[Any, str]]:
    """Owner and key of the part that a name means, or of each entry of a list."""
    owner, part, key = None, model, ""
    for key in name.split("."):
        owner, part = part, _get(part, key)
        if not isinstance(part, nnx.Module):
            raise ConfigError(
                f"run.rematerialize: the model has no part {name!r}; give dotted names such as 'backbone.layer1' or "
                "'mask_head'"
            )
    return [(part, str(i)) for i in range(len(part))] if isinstance(part, nnx.List) else [(owner, key)]


def _get(owner: Any, key: str) -> Any:
    if isinstance(owner, nnx.List):
        return owner[int(key)] if key.isdigit() and int(key) < len(owner) else None
    return getattr(owner, key, None)


def _set(owner: Any, key: str, part: nnx.Module) -> None:
    if isinstance(owner, nnx.List):
        owner[int(key)] = part
    else:
        setattr(owner, key, part)
