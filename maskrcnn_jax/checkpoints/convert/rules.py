"""Which of their arrays makes which of ours: read all of them, or say everything that does not fit."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.checkpoints.formats.stored import ArrayMapping, shape_of

LARGEST = 4
"""Times the numbers of an array of ours that those it is made of may have: a softmax of two, an unused background."""


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
    """Our arrays, made of theirs one at a time: each of theirs is read once, and only if its shape fits.

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
        # A mapping that knows no shapes is asked once for each array, as it may read it.
        theirs = {name: file if isinstance(file, ArrayMapping) else {name: file[name]} for name in rule.names}
        given = {name: shape_of(source, name) for name, source in theirs.items()}
        if _fits(rule, list(given.values()), shape):
            arrays[ours] = np.ascontiguousarray(rule.read(*(as_numbers(source[n], n) for n, source in theirs.items())))
        else:
            described = ", ".join(f"{name} {size}" for name, size in given.items())
            problems.append(f"shape: {described} does not make {ours} {shape}")
    problems += [f"unexpected: {name} {shape_of(file, name)}" for name in file if name not in used]
    if problems:
        absent = sum(problem.startswith("missing: ") for problem in problems)
        what = (
            f"these weights are not complete, {absent} of {len(shapes)} arrays are missing"
            if absent == len(problems) < len(shapes) / 2
            else "these weights belong to another architecture"
        )
        raise ConversionError("\n  ".join([f"{what}:", *sorted(problems)]))
    return arrays


def _fits(rule: Rule, given: list[tuple[int, ...]], shape: tuple[int, ...]) -> bool:
    """Whether arrays of given shapes make one of ours, found out with zeros that take no memory."""
    if sum(map(math.prod, given)) > LARGEST * max(math.prod(shape), 1):
        return False
    try:
        return rule.read(*(np.broadcast_to(np.float32(0), size) for size in given)).shape == shape
    except (ValueError, IndexError):
        return False


def as_numbers(value: Any, name: str) -> np.ndarray:
    """An array as float32.

    Raises:
        ConversionError: NumPy does not take it for one, such as a tensor on a GPU or of a type it does not have.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind in "fiubV":  # V: bfloat16
            return array.astype(np.float32, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConversionError(
            f"{name} cannot be read as an array: {error}; give `tensor.detach().cpu().float()`"
        ) from error
    raise ConversionError(f"{name} is of type {array.dtype}, and weights are numbers")
