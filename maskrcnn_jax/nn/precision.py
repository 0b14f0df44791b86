"""Which arrays of a layer are computed with in which type."""

from collections.abc import Callable
from typing import Any

import jax
from flax.nnx.nn import dtypes

from maskrcnn_jax.distributed.sharding import shard_over_images


def weights_in_float32(arrays: Any, /, *, dtype: Any = None, inexact: bool = True) -> Any:
    """Inputs in the compute type, kernel and bias as they are: what layers of nnx take as `promote_dtype`.

    A bias is added in float32, so its gradient, the sum over all images and cells, is taken in float32. In bfloat16,
    which cannot count beyond 256, XLA's sum of a million ones on CPUs is 8192. For the kernel see `summed_in_float32`.
    """
    inputs, kernel, bias = arrays
    (inputs,) = dtypes.promote_dtype((inputs,), dtype=dtype, inexact=inexact)
    return inputs, kernel, bias


def summed_in_float32(product: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`product(x, kernel, …)` in the type of `x`, whose kernel's gradient is added up over devices in the kernel's.

    Left to itself XLA adds up what the devices computed in bfloat16 as bfloat16, and converts the sum. Three digits are
    enough for the gradient of a few images, and too few for a sum over hundreds of devices.
    """

    def in_type_of_x(x: jax.Array, kernel: jax.Array, *settings: Any, **more: Any) -> jax.Array:
        def own(kernel: jax.Array, x: jax.Array) -> jax.Array:
            return product(x, kernel.astype(x.dtype), *settings, **more)

        return own(kernel, x) if kernel.dtype == x.dtype else shard_over_images(own, kernel, x)

    return in_type_of_x
