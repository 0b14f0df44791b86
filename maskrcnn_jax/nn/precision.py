"""Which arrays of a layer are computed with in which type."""

from typing import Any

from flax.nnx.nn import dtypes


def bias_in_float32(arrays: Any, /, *, dtype: Any = None, inexact: bool = True) -> Any:
    """Inputs and kernel in the compute type, the bias as it is: what layers of nnx take as `promote_dtype`.

    A bias is added in float32, so its gradient, the sum over all pictures and cells, is taken in float32. In bfloat16,
    which cannot count beyond 256, XLA's sum of a million ones on CPUs is 8192.
    """
    inputs, kernel, bias = arrays
    inputs, kernel = dtypes.promote_dtype((inputs, kernel), dtype=dtype, inexact=inexact)
    return inputs, kernel, bias
