"""Tensors of a trace by dotted name: all in a table, or one of them."""

import difflib
from collections.abc import Iterator
from typing import Any

import numpy as np

from maskrcnn_jax.inspect.numbers import measure
from maskrcnn_jax.inspect.table import Table

COLUMNS = ("tensor", "shape", "type", "min", "max", "mean", "zeros", "not finite", "valid")


def trace_table(trace: tuple) -> Table:
    """Every tensor of a trace by dotted name: shape, type, range, mean, share of zeros, number of non-finite values.

    In a record with `valid` the statistics are those of the valid slots, whose number is in the last column.

    Args:
        trace: From `forward`, or any record of `structs`, outside of `jit`.
    """
    entries = []
    for name, array, valid in _tensors(trace, ""):
        values = np.asarray(array)
        numbers = measure(values if valid is None else values[np.asarray(valid)])
        counts = "" if valid is None else f"{np.count_nonzero(valid)} of {valid.size}"
        span = (numbers.min, numbers.max, numbers.mean)
        entries.append(
            (name, values.shape, str(values.dtype), *span, f"{numbers.zeros:.1%}", numbers.non_finite or "", counts)
        )
    return Table(COLUMNS, entries)


def take(trace: tuple, name: str) -> Any:
    """One tensor of a trace by its dotted name, `"proposals.boxes"` or `"features.0"`, also under `jit`.

    Args:
        trace: from `forward`, or any record of `structs`.
        name: of a tensor; that of a record, `"proposals"`, gives the record.

    Raises:
        ValueError: there is no such tensor; the message names those with a similar name.
    """
    node: Any = trace
    for part in name.split("."):
        children = _children(node)
        if part not in children and isinstance(getattr(type(node), part, None), property):
            children = {part: getattr(node, part)}
        if part not in children:
            raise ValueError(f"there is no tensor {name!r}; {_similar(trace, name)}")
        node = children[part]
    if node is None:
        raise ValueError(f"{name} is None: the model has no mask head")
    return node


def _children(node: Any) -> dict[str, Any]:
    if isinstance(node, dict):
        return node
    if not isinstance(node, tuple):
        return {}
    return dict(zip(getattr(node, "_fields", map(str, range(len(node)))), node, strict=True))


def _tensors(node: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Name, array and, for an array of slots, their `valid`."""
    children = _children(node)
    valid = children.get("valid")
    for part, child in children.items():
        path = f"{name}.{part}" if name else part
        if isinstance(child, tuple | dict):
            yield from _tensors(child, path)
        elif child is not None:
            slots = valid is not None and child is not valid and child.shape[: valid.ndim] == valid.shape
            yield path, child, valid if slots else None


def _similar(trace: tuple, wanted: str) -> str:
    names = [name for name, *_ in _tensors(trace, "")]
    within = [name for name in names if wanted.split(".")[-1] in name.split(".")]
    near = difflib.get_close_matches(wanted, names, n=4, cutoff=0.5)
    found = list(dict.fromkeys(near + within))[:6]
    return f"did you mean {', '.join(found)}?" if found else f"there are {', '.join(names)}"
