"""Which of their arrays makes which of ours: read all of them, or say everything that does not fit."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np


class ConversionError(ValueError):
    """Weights that do not belong to the architecture; the message lists every name that is missing, left or wrong."""


class Rule(NamedTuple):
    """Where one of our arrays comes from."""

    names: tuple[str, ...]
    """Names in their file, in the order in which `read` takes the arrays."""
    read: Callable[..., np.ndarray]
    """Makes our array of theirs."""


def convert(
    file: Mapping[str, Any],
    rules: Mapping[str, Rule],
    shapes: Mapping[str, tuple[int, ...]],
    unused: Iterable[str] = (),
) -> dict[str, np.ndarray]:
    """Our arrays, made of theirs one at a time: each of theirs is read once, and only when it is needed.

    Args:
        file: their arrays by their names, or what NumPy takes for arrays.
        rules: one per array of ours.
        shapes: what the model needs, by our names; every name has a rule.
        unused: names of theirs that a model of ours has no place for.

    Returns:
        float32 arrays by our names.

    Raises:
        ConversionError: names are missing or left over, or shapes differ; all of them are listed, with both names.
    """
    problems, arrays, used = [], {}, set(unused)
    for ours, shape in shapes.items():
        rule = rules[ours]
        used.update(rule.names)
        missing = [name for name in rule.names if name not in file]
        if missing:
            problems += [f"missing: {name}, for {ours} {shape}" for name in missing]
            continue
        theirs = [np.asarray(file[name], np.float32) for name in rule.names]
        try:
            array = rule.read(*theirs)
            fits = array.shape == shape
        except ValueError:
            fits = False
        if fits:
            arrays[ours] = np.ascontiguousarray(array)
        else:
            given = ", ".join(f"{name} {value.shape}" for name, value in zip(rule.names, theirs, strict=True))
            problems.append(f"shape: {given} does not make {ours} {shape}")
    problems += [f"unexpected: {name} {tuple(np.shape(file[name]))}" for name in file if name not in used]
    if problems:
        raise ConversionError("\n  ".join(["these weights belong to another architecture:", *sorted(problems)]))
    return arrays
