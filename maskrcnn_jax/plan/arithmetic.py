"""The model's own arithmetic: FLOPs of its convolutions and matrix products, counted before compilation."""

import math
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal


class Source(IntEnum):
    """What a value depends on; of several sources the greatest counts."""

    DATA = 0
    FROZEN = 1
    """Parameters of the model that are not trained, and its statistics."""
    TRAINABLE = 2


def model_flops(function: Callable[..., Any], trainable: Any, frozen: Any, *data: Any) -> float:
    """FLOPs of the convolutions and matrix products of a model, forward and backward.

    A product that depends on parameters counts once for the forward pass and once more for each operand that needs a
    gradient: three times between trainable layers, twice where its input is data or comes from a frozen stage, once
    where nothing is trained. Model FLOPs utilisation is computed from this count (Chowdhery et al. 2022, appendix B):
    no element-wise operations, no targets, no recomputation. A multiplication and an addition are two FLOPs.

    Args:
        function: the forward pass, of `trainable`, `frozen` and `data`.
        trainable: a pytree of shapes: the parameters that are trained.
        frozen: a pytree of shapes: the other parameters, and statistics.
        data: pytrees of shapes: everything else.

    Returns:
        FLOPs for the whole batch. Products with padding are not counted, as in XLA's own count. Of a loop whose length
        depends on the data one iteration counts; the model has no product in such a loop. Of branches the last one
        counts: the one where a condition holds, and the default of a platform-dependent function.
    """
    jaxpr = jax.make_jaxpr(function)(trainable, frozen, *data)
    sources = [Source.TRAINABLE] * len(jax.tree.leaves(trainable)) + [Source.FROZEN] * len(jax.tree.leaves(frozen))
    sources += [Source.DATA] * len(jax.tree.leaves(data))
    return _count(jaxpr.jaxpr, sources)[0]


def _count(jaxpr: Jaxpr, sources: Sequence[Source]) -> tuple[float, list[Source]]:
    """FLOPs of a program whose inputs have these sources, and the sources of its outputs."""
    total, known = 0.0, dict(zip(jaxpr.invars, sources, strict=True))

    def source(atom: Any) -> Source:
        return Source.DATA if isinstance(atom, Literal) else known.get(atom, Source.DATA)

    for equation in jaxpr.eqns:
        given = [source(atom) for atom in equation.invars]
        most = max(given, default=Source.DATA)
        after = [min(most, Source.FROZEN) if equation.primitive.name == "stop_gradient" else most]
        after *= len(equation.outvars)
        if equation.primitive.name in ("dot_general", "conv_general_dilated") and most > Source.DATA:
            total += _flops(equation) * (1 + given.count(Source.TRAINABLE))
        given = given[1:] if equation.primitive.name == "cond" else given  # without the index of the branch
        for inner, times in _within(equation):
            # In a loop the results are the inputs of the next iteration, so each may depend on all.
            passes = times == 1 and len(inner.invars) == len(given)
            flops, found = _count(inner, given if passes else [most] * len(inner.invars))
            total += flops * times
            if passes and len(found) == len(after):
                after = found
        known |= dict(zip(equation.outvars, after, strict=True))
    return total, [source(atom) for atom in jaxpr.outvars]


def _within(equation: JaxprEqn) -> list[tuple[Jaxpr, int]]:
    """The programs inside an equation, and how often each runs."""
    times = equation.params["length"] if equation.primitive.name == "scan" else 1
    values = [v for value in equation.params.values() for v in (value if isinstance(value, tuple) else (value,))]
    inside = [v.jaxpr if isinstance(v, ClosedJaxpr) else v for v in values if isinstance(v, Jaxpr | ClosedJaxpr)]
    return [(jaxpr, times) for jaxpr in (inside[-1:] if equation.primitive.name == "cond" else inside)]


def _flops(equation: JaxprEqn) -> float:
    avals: list[Any] = [atom.aval for atom in (*equation.invars, *equation.outvars)]
    left, right, result = (aval.shape for aval in avals)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        # Every element of the result is a sum over the contracted axes.
        return 2.0 * math.prod(result) * math.prod(left[axis] for axis in contracted)
    numbers, settings = equation.params["dimension_numbers"], equation.params
    batch, features, *spatial = (result[axis] for axis in numbers.out_spec)
    _, inputs, *taps = (right[axis] for axis in numbers.rhs_spec)
    lengths = (left[axis] for axis in numbers.lhs_spec[2:])
    windows = zip(
        lengths,
        taps,
        spatial,
        settings["window_strides"],
        settings["padding"],
        settings["lhs_dilation"],
        settings["rhs_dilation"],
        strict=True,
    )
    return 2.0 * batch * features * inputs * math.prod(taps_met(*window) for window in windows)


def taps_met(
    length: int, taps: int, outputs: int, stride: int, padding: tuple[int, int], spread: int, dilation: int
) -> int:
    """How often a tap of a kernel meets an element of the input along one axis, not padding or a gap of dilation."""
    at = np.arange(outputs)[:, None] * stride + np.arange(taps)[None] * dilation - padding[0]
    return int(np.sum((at >= 0) & (at <= (length - 1) * spread) & (at % spread == 0)))
