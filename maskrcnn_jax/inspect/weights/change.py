"""How the weights of two checkpoints differ."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from maskrcnn_jax.inspect.table import Table, shown


class Change(NamedTuple):
    """How an array differs between two checkpoints."""

    name: str
    shape: tuple[int, ...]
    before: float
    """Norm of the array before."""
    difference: float
    """Norm of the difference."""
    cosine: float
    """Of the angle between both; NaN if one of them is all 0."""
    largest: float
    """Greatest change of a value."""

    @property
    def relative(self) -> float:
        """Norm of the difference divided by the norm before; infinite if that is 0."""
        return _share(self.difference, self.before)


class Comparison(NamedTuple):
    """The differences of two checkpoints."""

    changes: list[Change]
    """Of the arrays of one name and shape, in the order of the later checkpoint."""
    missing: list[str]
    """Names of arrays that only the earlier one has."""
    added: list[str]
    """Names of arrays that only the later one has."""
    reshaped: list[str]
    """Names of arrays with another shape, and both shapes."""


def compare(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> Comparison:
    """Compares arrays of the same names; arrays with non-finite values give NaN or infinity."""
    changes, reshaped = [], []
    for name in (name for name in after if name in before):
        old, new = (np.asarray(arrays[name]) for arrays in (before, after))
        if old.shape != new.shape:
            reshaped.append(f"{name}: {shown(old.shape)} before, {shown(new.shape)} after")
        else:
            changes.append(_change(name, old, new))
    missing, added = ([n for n in a if n not in b] for a, b in ((before, after), (after, before)))
    return Comparison(changes, missing, added, reshaped)


def part_table(changes: Sequence[Change]) -> Table:
    """The changes summed up for each part of the network, such as heads and backbone."""
    parts: dict[str, list[Change]] = {}
    for change in changes:
        parts.setdefault(change.name.replace("/", ".").partition(".")[0], []).append(change)
    entries = []
    for part, members in parts.items():
        difference, before = (math.hypot(*(getattr(m, norm) for m in members)) for norm in ("difference", "before"))
        unchanged, largest = sum(m.difference == 0 for m in members), max(m.largest for m in members)
        entries.append((part, len(members), unchanged, _share(difference, before), largest))
    columns = ("part", "arrays", "unchanged", "relative change", "largest change")
    return Table(columns, entries, "By part of the network")


def change_table(changes: Sequence[Change]) -> Table:
    """Every array that both checkpoints have."""
    entries = [(c.name, c.shape, c.relative, c.cosine, c.largest) for c in changes]
    return Table(("tensor", "shape", "relative change", "cosine", "largest change"), entries, "Every tensor")


def _change(name: str, before: np.ndarray, after: np.ndarray) -> Change:
    old, new = (array.ravel().astype(np.float64) for array in (before, after))
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        difference = new - old
        norms = math.sqrt(old @ old), math.sqrt(new @ new)
        cosine = float(old @ new) / (norms[0] * norms[1]) if all(norms) else math.nan
        largest = float(np.abs(difference).max(initial=0.0))
        return Change(name, before.shape, norms[0], math.sqrt(difference @ difference), cosine, largest)


def _share(part: float, whole: float) -> float:
    if whole == 0:
        return math.inf if part else 0.0
    return part / whole
