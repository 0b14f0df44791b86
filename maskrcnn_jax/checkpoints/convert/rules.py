"""Source → target mapping of parameters: convert all of them, or list everything that does not fit."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.checkpoints.formats.stored import ArrayMapping, shape_of

LARGEST = 4
"""Source elements per target element, at most: a softmax of two classes, an unused background."""


class ConversionError(ValueError):
    """Weights that do not fit the architecture; the message lists each missing, unexpected or wrongly shaped array."""


class Rule(NamedTuple):
    """How one target array is made."""

    names: tuple[str, ...]
    """Names of the source arrays, in the order in which `read` takes them."""
    read: Callable[..., np.ndarray]
    """Source arrays to the target array."""


def convert(
    file: Mapping[str, Any],
    rules: Mapping[str, Rule],
    shapes: Mapping[str, tuple[int, ...]],
    unused: Iterable[str] = (),
) -> dict[str, np.ndarray]:
    """Target arrays, converted one at a time; a source array is read only if its shape fits.

    Args:
        file: source arrays by name, or what NumPy takes for arrays.
        rules: one per target array.
        shapes: of the target arrays, by name; every name has a rule.
        unused: names of source arrays that are ignored.

    Returns:
        float32 target arrays by name.

    Raises:
        ConversionError: arrays are missing or unexpected, or shapes differ; all of them are listed, with both names.
    """
    problems, arrays, used = [], {}, set(unused)
    for target, shape in shapes.items():
        rule = rules[target]
        used.update(rule.names)
        missing = [name for name in rule.names if name not in file]
        if missing:
            problems += [f"missing: {name}, for {target} {shape}" for name in missing]
            continue
        # A mapping that knows no shapes is asked once for each array, as it may read it.
        sources = {name: file if isinstance(file, ArrayMapping) else {name: file[name]} for name in rule.names}
        given = {name: shape_of(source, name) for name, source in sources.items()}
        if _fits(rule, list(given.values()), shape):
            values = (as_numbers(source[name], name) for name, source in sources.items())
            arrays[target] = np.ascontiguousarray(rule.read(*values))
        else:
            described = ", ".join(f"{name} {size}" for name, size in given.items())
            problems.append(f"shape: {described} does not make {target} {shape}")
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
    """Whether source arrays of these shapes make the target shape, tried with zeros that take no memory."""
    if sum(map(math.prod, given)) > LARGEST * max(math.prod(shape), 1):
        return False
    try:
        return rule.read(*(np.broadcast_to(np.float32(0), size) for size in given)).shape == shape
    except (ValueError, IndexError):
        return False


def as_numbers(value: Any, name: str) -> np.ndarray:
    """An array as float32.

    Raises:
        ConversionError: NumPy cannot read it, such as a tensor on a GPU or of a type that NumPy lacks.
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
