"""Statistics of the arrays of a network, and flags of suspicious ones."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.tensors import Numbers, measure
from maskrcnn_jax.inspect.weights.layer_kinds import FRESH, Kind, fan_in, layer_kinds

OVERFLOW = 1000.0
"""Magnitude above which a weight is not plausible."""
DEAD_CHANNEL = 1e-4
"""A channel whose norm is below this share of its kernel's median channel is dead."""
DEVIATIONS = 5.0
"""Robust standard deviations from the median of its group at which an array is unusual."""
LEAST_DEVIATION = 0.15
"""Of a group, in powers of ten: in a group of equal sizes one is unusual at 5.6 times their size."""
LEAST_GROUP = 5
"""Smaller groups have no usual size."""


class TensorStats(NamedTuple):
    """Statistics and flags of an array."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    numbers: Numbers
    dead_channels: int
    """Output channels of a kernel that are nearly 0."""
    flags: tuple[str, ...]
    """Problems, in words."""

    @property
    def size(self) -> float:
        """Size for comparison within a group: the root mean square, for kernels times √fan-in."""
        return self.numbers.norm * (fan_in(self.shape, self.kind) / max(self.numbers.size, 1)) ** 0.5


def tensor_stats(arrays: Mapping[str, np.ndarray]) -> list[TensorStats]:
    """Statistics of every array of a network, with flags.

    - *non-finite*: it has NaN or infinite values.
    - *dead*: all its values are equal, unless a fresh network has just these (bias and mean 0, norm scale and
      variance 1) or it is the bias of a layer without norm; so has a single value of anything but a kernel.
    - *dead channels*: output channels of a kernel with a norm below 10⁻⁴ of the kernel's median channel.
    - *overflow*: a value above 1000 in magnitude; above 1000² in a variance, whose unit is the square.
    - *negative variance*: no norm layer can use it.
    - *unusual*: its root mean square, for kernels times √fan-in, is further than 5 robust deviations (1.4826 · MAD of
      log₁₀, at least 0.15) from the median of its group: kernels of the same window, linear kernels, kernels of the
      output layers, biases, norm scales. Means and variances follow the images' scale and have no usual size.

    Args:
        arrays: by name, of any system; each is read once.
    """
    kinds = layer_kinds({name: np.shape(array) for name, array in arrays.items()})
    stats = []
    for name, array in arrays.items():
        values, kind = np.asarray(array), kinds[name]
        numbers, dead = measure(values), _dead_channels(values, kind)
        stats.append(TensorStats(name, values.shape, kind, numbers, dead, _flags(values, kind, numbers, dead)))
    usual = {group: _usual(stats, group) for group in {one.kind.group for one in stats}}
    return [one._replace(flags=(*one.flags, *_unusual(one, usual[one.kind.group]))) for one in stats]


def stats_table(tensors: Sequence[TensorStats], caption: str = "") -> Table:
    """An entry for every array; those with a flag are marked."""
    columns = ("tensor", "shape", "min", "max", "mean", "std", "zeros", "norm", "flags")
    entries = []
    for name, shape, _, n, _, flags in tensors:
        entries.append((name, shape, n.min, n.max, n.mean, n.std, f"{n.zeros:.1%}", n.norm, "; ".join(flags)))
    return Table(columns, entries, caption, {index for index, one in enumerate(tensors) if one.flags})


def _dead_channels(values: np.ndarray, kind: Kind) -> int:
    if kind.outputs is None or not values.size:
        return 0
    channels = np.moveaxis(values, kind.outputs, 0).reshape(values.shape[kind.outputs], -1).astype(np.float64)
    norms = np.linalg.norm(channels, axis=1)
    finite = norms[np.isfinite(norms)]
    return int(np.count_nonzero(finite <= DEAD_CHANNEL * np.median(finite))) if finite.size else 0


def _flags(values: np.ndarray, kind: Kind, numbers: Numbers, dead_channels: int) -> tuple[str, ...]:
    flags = []
    if numbers.non_finite:
        flags.append(f"non-finite: {numbers.non_finite} of {numbers.size} values")
    if numbers.min == numbers.max and _must_vary(kind, numbers):
        flags.append(f"dead: all values are {numbers.min:.4g}")
    elif dead_channels:
        flags.append(f"dead channels: {dead_channels} of {values.shape[kind.outputs or 0]}")
    largest = max(abs(numbers.min), abs(numbers.max))
    if values.dtype.kind not in "iub" and largest > (OVERFLOW**2 if kind.role == "variance" else OVERFLOW):
        flags.append(f"overflow: up to {largest:.6g} in magnitude")
    if kind.role == "variance" and numbers.min < 0:
        flags.append(f"negative variance: {numbers.min:.4g}")
    return tuple(flags)


def _must_vary(kind: Kind, numbers: Numbers) -> bool:
    if kind.role == "kernel":
        return True
    return kind.role not in ("bias", "other") and numbers.size > 1 and numbers.min != FRESH[kind.role]


def _usual(stats: Sequence[TensorStats], group: str) -> tuple[float, float] | None:
    """Median and robust deviation of log₁₀ of the sizes in a group; None where there is no usual size."""
    sizes = [one.size for one in stats if one.kind.group == group and one.size > 0]
    if len(sizes) < LEAST_GROUP or group in ("mean", "variance", "other"):
        return None
    powers = np.log10(sizes)
    median = float(np.median(powers))
    return median, max(1.4826 * float(np.median(np.abs(powers - median))), LEAST_DEVIATION)


def _unusual(one: TensorStats, usual: tuple[float, float] | None) -> tuple[str, ...]:
    if usual is None or one.size == 0 or abs(np.log10(one.size) - usual[0]) <= DEVIATIONS * usual[1]:
        return ()
    return (f"unusual: {one.size / 10 ** usual[0]:.3g} times as large as most of its kind ({one.kind.group})",)
