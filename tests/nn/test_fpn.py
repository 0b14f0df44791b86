"""Feature pyramid against loops over cells."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from random_weights import fill

from maskrcnn_jax.nn.necks.fpn import FPN, upsample


def make(inputs, channels, **fields):
    return FPN(channels=channels, **fields).build(inputs, dtype=jnp.float32, rngs=nnx.Rngs(0))


def pyramid_with_plain_outputs(inputs, channels):
    """An FPN whose 3×3 convolutions copy their centre, so that the merged maps can be seen."""
    fpn = fill(lambda: make(inputs, channels))
    kernel = np.zeros((3, 3, channels, channels), np.float32)
    kernel[1, 1] = np.eye(channels)
    for unit in fpn.output:
        unit.conv.kernel[...] = jnp.asarray(kernel)
    return fpn


def define_merge(laterals):
    """From the coarsest level down: a cell adds the value of the coarser cell that covers it."""
    merged = [np.array(m, float) for m in laterals]
    for level in range(len(merged) - 2, -1, -1):
        for b, i, j, c in np.ndindex(merged[level].shape):
            merged[level][b, i, j, c] += merged[level + 1][b, i // 2, j // 2, c]
    return merged


def test_upsample_repeats_cells():
    x = jnp.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(upsample(x, 4, 3)[0, ..., 0], [[1, 1, 2], [1, 1, 2], [3, 3, 4], [3, 3, 4]])


@pytest.mark.parametrize("shapes", [((8, 12), (4, 6), (2, 3), (1, 2)), ((9, 11), (5, 6), (3, 3), (2, 2))])
def test_pyramid_equals_the_definition(shapes):
    rng, widths = np.random.default_rng(0), (2, 3, 4, 5)
    features = tuple(rng.normal(size=(2, *s, c)).astype(np.float32) for s, c in zip(shapes, widths, strict=True))
    fpn = pyramid_with_plain_outputs(widths, 3)
    laterals = []
    for i, unit in enumerate(fpn.lateral):
        unit.conv.bias[...] = jnp.full(3, i + 1.0)
        laterals.append(features[i] @ np.asarray(unit.conv.kernel[...])[0, 0] + i + 1)
    *pyramid, p6 = jax.jit(fpn)(tuple(map(jnp.asarray, features)))
    for got, want in zip(pyramid, define_merge(laterals), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    # P6 takes every second cell of P5, the first included: torchvision's max pooling of size 1 and stride 2.
    height, width = shapes[-1]
    assert p6.shape == (2, -(-height // 2), -(-width // 2), 3)
    for i in range(p6.shape[1]):
        for j in range(p6.shape[2]):
            np.testing.assert_array_equal(p6[:, i, j], pyramid[-1][:, 2 * i, 2 * j])


def test_output_convolution_follows_the_merging():
    # Were it applied before, P2 would hold the doubled value of P3 as well.
    fpn = pyramid_with_plain_outputs((1, 1), 1)
    for unit in fpn.lateral:
        unit.conv.kernel[...] = jnp.ones((1, 1, 1, 1))
    fpn.output[1].conv.kernel[...] = 2 * fpn.output[1].conv.kernel[...]
    p2, p3, _ = fpn((jnp.ones((1, 2, 2, 1)), jnp.full((1, 1, 1, 1), 10.0)))
    np.testing.assert_array_equal(p2, np.full((1, 2, 2, 1), 11))
    np.testing.assert_array_equal(p3, [[[[20]]]])


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3)])
def test_p6_can_be_a_strided_convolution_of_p5(height, width):
    fpn = fill(lambda: make((2,), 3, p6="conv"))
    fpn.extra.conv.bias[...] = jnp.arange(3.0)
    kernel = np.asarray(fpn.extra.conv.kernel[...])
    p5, p6 = jax.jit(fpn)((jnp.asarray(np.random.default_rng(0).normal(size=(1, height, width, 2)), jnp.float32),))
    assert p6.shape == (1, -(-height // 2), -(-width // 2), 3)
    padded = np.pad(np.asarray(p5)[0], ((1, 2), (1, 2), (0, 0)))
    for i in range(p6.shape[1]):
        for j in range(p6.shape[2]):
            window = padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            np.testing.assert_allclose(p6[0, i, j], np.einsum("hwc,hwcd->d", window, kernel) + np.arange(3), atol=1e-4)


def test_every_convolution_has_a_norm_with_the_given_eps():
    fpn = make((2, 2), 2, p6="conv", norm="frozen_batch", norm_eps=0.25)
    units = [*fpn.lateral, *fpn.output, fpn.extra]
    assert [unit.norm.eps for unit in units] == [0.25] * 5
    assert all(unit.conv.bias is None for unit in units)


def test_parameters_are_those_of_torchvision():
    params = nnx.state(nnx.eval_shape(lambda: make((256, 512, 1024, 2048), 256)), nnx.Param)
    # 1×1: (256 + 512 + 1024 + 2048) · 256 weights and 4 · 256 biases; 3×3: 4 · (9 · 256 · 256 + 256).
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == 984_064 + 2_360_320


def test_every_level_has_its_own_weights():
    fpn = fill(lambda: make((4, 4), 4))
    assert not np.array_equal(fpn.lateral[0].conv.kernel[...], fpn.lateral[1].conv.kernel[...])
    assert not np.array_equal(fpn.output[0].conv.kernel[...], fpn.output[1].conv.kernel[...])
