"""Sums that a layer in bfloat16 computes in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.distributed.mesh import data_mesh, replicated, to_devices
from maskrcnn_jax.nn.conv import Conv
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.nn.precision import summed_in_float32, weights_in_float32

LINEAR = nnx.Linear(
    1,
    2,
    promote_dtype=weights_in_float32,
    dot_general=summed_in_float32(jax.lax.dot_general),
    dtype=jnp.bfloat16,
    rngs=nnx.Rngs(0),
)
CONVS = {f"{size}x{size}": Conv(1, 2, size, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)) for size in (1, 3)}
LAYERS = pytest.mark.parametrize("layer", [*CONVS.values(), LINEAR], ids=[*CONVS, "linear"])


def total(layer, x):
    return jnp.sum(layer(x).astype(jnp.float32))


@LAYERS
def test_the_gradient_of_a_bias_is_summed_in_float32(layer):
    """A bias is added to each of 40 000 cells. In bfloat16 the sum of as many ones ends at some hundreds."""
    gradient = jax.grad(total)(layer, jnp.zeros((4, 100, 100, 1))).bias[...]
    np.testing.assert_allclose(gradient, [40_000.0] * 2, rtol=1e-6)


@LAYERS
def test_devices_sum_the_gradient_of_a_kernel_in_float32(layer):
    """Four devices have the gradients 256, 1, 1 and 1: the sum is 259, which bfloat16 rounds to 258 or 260.

    The gradient of the middle tap is the sum of the images, which have one cell.
    """
    mesh, (structure, *weights) = data_mesh(), flatten(layer)
    images = np.array([256, 1, 1, 1], np.float32).reshape(4, 1, 1, 1)

    def of_weights(weights, x):
        return total(unflatten(structure, *weights), x)

    with jax.set_mesh(mesh):
        gradients, _ = jax.jit(jax.grad(of_weights))(
            jax.device_put(tuple(weights), replicated(mesh)), to_devices(images, mesh)
        )
    kernel = np.asarray(gradients["kernel"]).reshape(-1, 1, 2)
    np.testing.assert_array_equal(kernel[len(kernel) // 2], [[259.0, 259.0]])
