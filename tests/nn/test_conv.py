"""Convolutions against loops over positions and taps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.nn.conv import Conv, ConvNorm


def define_conv(x, kernel, stride):
    """Each output is a sum over taps around `stride` times its position; what lies outside the image is 0."""
    batch, height, width, _ = x.shape
    size, _, _, outputs = kernel.shape
    y = np.zeros((batch, -(-height // stride), -(-width // stride), outputs))
    for b, i, j in np.ndindex(y.shape[:3]):
        for di in range(size):
            for dj in range(size):
                row, column = i * stride + di - size // 2, j * stride + dj - size // 2
                if 0 <= row < height and 0 <= column < width:
                    y[b, i, j] += x[b, row, column] @ kernel[di, dj]
    return y


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("size", "stride", "shape"),
    [(1, 1, (5, 8)), (1, 2, (5, 8)), (3, 1, (5, 8)), (3, 2, (5, 8)), (3, 2, (6, 7)), (7, 2, (5, 8))],
)
def test_conv_equals_the_definition(size, stride, shape):
    conv = Conv(3, 4, size, stride=stride, dtype=jnp.float32, rngs=nnx.Rngs(0))
    conv.bias[...] = jnp.arange(4.0)
    x = random(2, *shape, 3)
    expected = define_conv(x, np.asarray(conv.kernel[...]), stride) + np.arange(4)
    np.testing.assert_allclose(jax.jit(conv)(x), expected, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_pointwise_is_the_library_convolution(stride):
    conv = Conv(5, 6, 1, stride=stride, bias=False, dtype=jnp.float32, rngs=nnx.Rngs(0))
    x, axes = random(2, 7, 4, 5), ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(x, conv.kernel[...], (stride, stride), "VALID", dimension_numbers=axes)
    np.testing.assert_allclose(conv(x), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_each_group_of_outputs_sees_its_group_of_inputs(size, stride):
    conv = Conv(6, 4, size, stride=stride, groups=2, dtype=jnp.float32, rngs=nnx.Rngs(0))
    conv.bias[...] = jnp.arange(4.0)
    x, kernel = random(2, 5, 8, 6), np.asarray(conv.kernel[...])
    # Inputs 0 … 2 make outputs 0 and 1, inputs 3 … 5 make outputs 2 and 3.
    assert kernel.shape == (size, size, 3, 4)
    parts = [define_conv(x[..., 3 * g : 3 * g + 3], kernel[..., 2 * g : 2 * g + 2], stride) for g in range(2)]
    np.testing.assert_allclose(jax.jit(conv)(x), np.concatenate(parts, axis=-1) + np.arange(4), atol=1e-4)


def test_padding_is_symmetric():
    # TensorFlow's SAME puts the taps of output (0, 0) on indices 0 … 2; here they are on -1 … 1.
    conv = Conv(1, 1, 3, stride=2, bias=False, dtype=jnp.float32, rngs=nnx.Rngs(0))
    conv.kernel[...] = jnp.ones((3, 3, 1, 1))
    x = jnp.zeros((1, 4, 4, 1)).at[0, 2, 2].set(1)
    np.testing.assert_array_equal(conv(x)[0, ..., 0], [[0, 0], [0, 1]])


def test_he_normal_starts_with_the_variance_of_fan_out():
    kernel = Conv(64, 128, 3, dtype=jnp.float32, rngs=nnx.Rngs(0)).kernel[...]
    # 2 / (9 · 128); the mean of 73 728 squares is off by less than 3 %.
    np.testing.assert_allclose(jnp.mean(kernel**2), 2 / (9 * 128), rtol=0.03)


@pytest.mark.parametrize("size", [1, 3])
def test_compute_type_differs_from_the_type_of_the_weights(size):
    conv = Conv(3, 4, size, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert conv.kernel[...].dtype == conv.bias[...].dtype == jnp.float32
    assert conv(random(1, 4, 4, 3)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("norm", "bias"), [("none", True), ("batch", False), ("frozen_batch", False), ("group", False)]
)
def test_convolution_has_a_bias_exactly_without_norm(norm, bias):
    unit = ConvNorm(3, 4, 3, norm=norm, eps=1e-5, dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert (unit.conv.bias is not None) == bias


def test_conv_norm_normalises_the_convolution():
    unit = ConvNorm(3, 4, 3, norm="frozen_batch", eps=0.0, dtype=jnp.float32, rngs=nnx.Rngs(0))
    unit.norm.scale[...] = jnp.array([1.0, 2, 3, 4])
    unit.norm.mean[...] = jnp.array([0.5, 0, 0, 0])
    x = random(1, 4, 4, 3)
    expected = (define_conv(np.asarray(x), np.asarray(unit.conv.kernel[...]), 1) - [0.5, 0, 0, 0]) * [1, 2, 3, 4]
    np.testing.assert_allclose(unit(x), expected, atol=1e-4)
