"""Convolutions through Winograd's matrices against XLA's own and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.distributed.mesh import data_mesh, replicated, spread
from maskrcnn_jax.nn import winograd
from maskrcnn_jax.nn.winograd import INPUT, KERNEL, OUTPUT, conv3x3, convolve, direct, gradients

SHAPES = [(2, 5, 8, 4, 2), (1, 1, 7, 2, 3), (1, 14, 14, 64, 32)]
"""Batch, height, width, inputs, outputs: even and odd sides, and sides of one cell."""


def arrays(batch, height, width, inputs, outputs, dtype=np.float32):
    rng = np.random.default_rng(height * width)
    shapes = (batch, height, width, inputs), (3, 3, inputs, outputs), (batch, height, width, outputs)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def xla(x, kernel):
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=axes)


def close(ours, expected, tolerance):
    """Compares within a share of the largest value, as small values are differences of large ones."""
    assert ours.shape == expected.shape and ours.dtype == expected.dtype
    np.testing.assert_allclose(ours, expected, atol=tolerance * float(jnp.abs(expected).max()))


def test_two_outputs_of_three_taps_by_hand():
    # Inputs 1, 2, 3, 4 under taps 10, 100, 1000: 10 + 200 + 3000 and 20 + 300 + 4000.
    x, taps = np.array([1, 2, 3, 4]), np.array([10, 100, 1000])
    np.testing.assert_allclose(np.array(OUTPUT) @ ((np.array(KERNEL) @ taps) * (np.array(INPUT) @ x)), [3210, 4320])


@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_equals_the_direct_sum(shape):
    x, kernel, _ = arrays(*shape)
    close(jax.jit(convolve)(x, kernel), xla(x, kernel), 2e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_equal_those_of_the_direct_sum(shape):
    x, kernel, cotangent = arrays(*shape)
    expected = jax.vjp(xla, x, kernel)[1](cotangent)
    for ours, theirs in zip(jax.jit(gradients)(x, kernel, cotangent), expected, strict=True):
        close(ours, theirs, 5e-6)


@pytest.mark.parametrize(("threshold", "dtype"), [(0.0, jnp.float32), (0.0, jnp.bfloat16), (1e30, jnp.float32)])
def test_both_algorithms_have_the_same_values_and_gradients(monkeypatch, threshold, dtype):
    monkeypatch.setattr(winograd, "IN_PREDICTION", threshold)
    monkeypatch.setattr(winograd, "IN_TRAINING", threshold)
    x, kernel, cotangent = arrays(2, 6, 7, 8, 4, dtype)
    # bfloat16 always uses the direct convolution: the same bits.
    tolerance = 5e-6 if dtype == jnp.float32 else 0.0
    close(jax.jit(lambda *a: conv3x3(*a))(x, kernel), xla(x, kernel), tolerance)

    def loss(conv):
        return lambda x, kernel: jnp.sum(conv(x, kernel).astype(jnp.float32) * cotangent)

    ours, expected = (jax.jit(jax.value_and_grad(loss(conv), (0, 1)))(x, kernel) for conv in (conv3x3, xla))
    close(ours[0], expected[0], 1e-5)
    for a, b in zip(ours[1], expected[1], strict=True):
        close(a, b, tolerance)


def lowered(function, platform, *arguments):
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def products(text):
    return text.count("stablehlo.dot_general"), text.count("stablehlo.convolution")


def test_each_platform_has_its_own_algorithm(monkeypatch):
    monkeypatch.setattr(winograd, "IN_PREDICTION", 0.0)
    monkeypatch.setattr(winograd, "IN_TRAINING", 0.0)
    x, kernel, cotangent = arrays(1, 4, 4, 2, 3)

    def both(x, kernel, cotangent):
        return jax.vjp(conv3x3, x, kernel)[1](cotangent)

    # 16 products for the convolution, and as many for each of its two gradients.
    assert products(lowered(lambda *a: conv3x3(*a), "cpu", x, kernel)) == (16, 0)
    assert products(lowered(both, "cpu", x, kernel, cotangent)) == (32, 0)
    for platform in ("cuda", "tpu"):
        assert products(lowered(both, platform, x, kernel, cotangent)) == products(
            lowered(lambda x, k, c: jax.vjp(direct, x, k)[1](c), platform, x, kernel, cotangent)
        )


def test_devices_exchange_only_the_gradient_of_the_kernel(monkeypatch):
    monkeypatch.setattr(winograd, "IN_TRAINING", 0.0)
    x, kernel, cotangent = arrays(4, 4, 4, 2, 3)
    mesh = data_mesh()
    arguments = jax.device_put((x, kernel, cotangent), (spread(mesh), replicated(mesh), spread(mesh)))
    step = jax.jit(
        lambda x, kernel, cotangent: jax.vjp(conv3x3, x, kernel)[1](cotangent),
        out_shardings=(spread(mesh), replicated(mesh)),
    )
    text = step.lower(*arguments).compile().as_text()
    assert " all-reduce(" in text
    assert not any(f" {word}" in text for word in ("all-gather", "all-to-all", "collective-permute", "conditional("))
    for ours, expected in zip(step(*arguments), jax.vjp(xla, x, kernel)[1](cotangent), strict=True):
        close(ours, expected, 5e-6)


@pytest.mark.parametrize(("side", "ways"), [(128, (16, 0)), (32, (0, 1))])
def test_small_convolutions_are_not_worth_their_compilation(side, ways):
    # 2 · 9 · 256² operations per cell are 1.18 million: 128² cells take 19 billion, 32² one billion.
    x, kernel = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((1, side, side, 256), (3, 3, 256, 256)))
    assert products(lowered(lambda *a: conv3x3(*a), "cpu", x, kernel)) == ways
