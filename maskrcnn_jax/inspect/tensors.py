"""Tensors: their statistics, and those of a trace by dotted name."""

import difflib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.structs import Array

COLUMNS = ("tensor", "shape", "type", "min", "max", "mean", "zeros", "not finite", "valid")


class Numbers(NamedTuple):
    """Statistics of an array's finite values; others are only counted, in `non_finite`.

    Without any finite value minimum, maximum, mean and standard deviation are NaN.
    """

    size: int
    min: float
    max: float
    mean: float
    std: float
    norm: float
    """Root of the sum of squares."""
    zeros: float
    """Share of values that are exactly 0."""
    non_finite: int
    """Values that are NaN or infinite."""


def measure(array: Array) -> Numbers:
    """The statistics of an array of any shape and type, computed in float64; false counts as 0 and true as 1."""
    values = np.asarray(array).ravel().astype(np.float64)
    size = values.size
    finite = np.isfinite(values)
    if not finite.all():
        values = values[finite]
    zeros = (size - np.count_nonzero(values) - (size - values.size)) / size if size else 0.0
    if not values.size:
        return Numbers(size, np.nan, np.nan, np.nan, np.nan, 0.0, zeros, size)
    least, greatest, mean = float(values.min()), float(values.max()), float(values.mean())
    norm = math.sqrt(values @ values)
    values -= mean
    std = math.sqrt(values @ values / values.size)
    return Numbers(size, least, greatest, mean, std, norm, zeros, size - values.size)


def trace_table(trace: tuple) -> Table:
    """Every tensor of a trace by dotted name: shape, type, range, mean, share of zeros, number of non-finite values.

    In a record with `valid` the statistics are those of the valid slots, whose number is in the last column. The trace
    may be any record of `structs`, outside of `jit`.
    """
    entries = []
    for name, array, valid in _tensors(trace, ""):
        values = np.asarray(array)
        n = measure(values if valid is None else values[np.asarray(valid)])
        counts = "" if valid is None else f"{np.count_nonzero(valid)} of {valid.size}"
        statistics = (n.min, n.max, n.mean, f"{n.zeros:.1%}", n.non_finite or "")
        entries.append((name, values.shape, str(values.dtype), *statistics, counts))
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
            names = [known for known, *_ in _tensors(trace, "")]
            hint = did_you_mean(name, names) or f"there are {', '.join(names)}"
            raise ValueError(f"there is no tensor {name!r}; {hint}")
        node = children[part]
    if node is None:
        raise ValueError(
            f"{name} is None: this trace has no such tensor, as the model lacks the part, or it is not computed here"
        )
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


def did_you_mean(wanted: str, names: Sequence[str]) -> str:
    """Names that a user may have meant; empty if none is similar."""
    near = [name for name in names if name.startswith(f"{wanted}.") or name.endswith(f".{wanted}")]
    near = sorted(near, key=len) or difflib.get_close_matches(wanted, names, n=5, cutoff=0.5)
    return f"did you mean {', '.join(near[:5])}?" if near else ""
