"""Statistics of an array."""

import math
from typing import NamedTuple

import numpy as np

from maskrcnn_jax.structs import Array


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
