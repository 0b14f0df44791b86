"""Norm layers against arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.distributed.mesh import data_mesh, to_devices
from maskrcnn_jax.nn.norm import BatchNorm, FrozenBatchNorm, FrozenStatistic, GroupNorm, make_norm
from maskrcnn_jax.nn.params import flatten, unflatten

KINDS = ("frozen_batch", "batch", "group", "none")


def column(*values):
    """One channel, one image, one value per line of pixels."""
    return jnp.array(values).reshape(1, -1, 1, 1)


def test_frozen_batch_norm_by_hand():
    norm = FrozenBatchNorm(2, eps=0.0)
    norm.scale[...], norm.bias[...] = jnp.array([2.0, 1]), jnp.array([1.0, 0])
    norm.mean[...], norm.var[...] = jnp.array([3.0, -1]), jnp.array([4.0, 0.25])
    # (5 - 3) / 2 · 2 + 1 = 3 and (1 + 1) / ½ = 4.
    np.testing.assert_allclose(norm(jnp.array([[[[5.0, 1]]]])), [[[[3, 4]]]], rtol=1e-6)


def test_eps_is_added_to_the_variance():
    norm = FrozenBatchNorm(1, eps=3.0)
    # Fresh: mean 0, variance 1, so x / √(1 + 3).
    np.testing.assert_allclose(norm(column(5.0)), column(2.5), rtol=1e-6)


def test_frozen_batch_norm_has_no_parameters():
    norm = make_norm("frozen_batch", 4, eps=1e-5, dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert not jax.tree.leaves(nnx.state(norm, nnx.Param))
    assert len(jax.tree.leaves(nnx.state(norm, FrozenStatistic))) == 4


def test_batch_norm_uses_its_running_statistics():
    norm = BatchNorm(1, eps=0.0, rngs=nnx.Rngs(0))
    norm.mean[...], norm.var[...] = jnp.array([2.0]), jnp.array([9.0])
    np.testing.assert_allclose(norm(column(2.0, 5.0, -7.0)), column(0.0, 1.0, -3.0), rtol=1e-6)
    np.testing.assert_array_equal(norm.mean[...], [2])
    np.testing.assert_array_equal(norm.var[...], [9])


def test_training_view_uses_and_updates_statistics():
    norm = BatchNorm(1, eps=0.0, rngs=nnx.Rngs(0))
    view = nnx.view(norm, use_running_average=False)
    # The batch 1, 5 has mean 3 and variance 4.
    np.testing.assert_allclose(view(column(1.0, 5.0)), column(-1.0, 1.0), rtol=1e-6)
    # From mean 0 and variance 1: 0.9 · 0 + 0.1 · 3 and 0.9 · 1 + 0.1 · 4. The view writes to the original's variables.
    for module in (view, norm):
        np.testing.assert_allclose(module.mean[...], [0.3], rtol=1e-6)
        np.testing.assert_allclose(module.var[...], [1.3], rtol=1e-6)


def test_batch_norm_averages_over_images_and_positions():
    norm = nnx.view(BatchNorm(2, eps=0.0, rngs=nnx.Rngs(0)), use_running_average=False)
    x = np.random.default_rng(0).normal(5, 3, (3, 4, 5, 2)).astype(np.float32)
    mean, deviation = x.mean((0, 1, 2), keepdims=True), x.std((0, 1, 2), keepdims=True)
    np.testing.assert_allclose(norm(jnp.asarray(x)), (x - mean) / deviation, atol=1e-4)


def test_batch_norm_averages_over_devices():
    """Four devices with the values 0, 2, 4 and 10: mean 4, variance (16 + 4 + 0 + 36) / 4 = 14."""
    norm, mesh = nnx.view(BatchNorm(1, eps=0.0, rngs=nnx.Rngs(0)), use_running_average=False), data_mesh()
    assert mesh.size == 4
    structure, params, statistics = flatten(norm)

    @jax.jit
    def normalise(x):
        norm = unflatten(structure, params, statistics)
        return norm(x), flatten(norm)[2]

    with jax.set_mesh(mesh):
        found, after = normalise(to_devices(np.array([0.0, 2, 4, 10], np.float32).reshape(4, 1, 1, 1), mesh))
    np.testing.assert_allclose(found.ravel(), np.array([-4, -2, 0, 6]) / np.sqrt(14), rtol=1e-5)
    # Running statistics move by a tenth of the way from 0 and 1.
    np.testing.assert_allclose(after["mean"], [0.4], rtol=1e-5)
    np.testing.assert_allclose(after["var"], [0.9 + 1.4], rtol=1e-5)


def test_batch_norm_sums_in_float32():
    norm = nnx.view(BatchNorm(1, eps=0.0, rngs=nnx.Rngs(0)), use_running_average=False)
    # 400 ones and 400 threes: in bfloat16 a running sum of them stops growing long before 1600.
    x = jnp.tile(column(1.0, 3.0), (1, 400, 1, 1)).astype(jnp.bfloat16)
    y = norm(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(norm.mean[...], [0.1 * 2], rtol=1e-6)
    np.testing.assert_array_equal(np.unique(np.asarray(y, np.float32)), [-1, 1])


def test_group_norm_by_hand():
    # Two channels, two groups: each channel by itself. 1, 3 → -1, 1 and 10, 30 → -1, 1.
    norm = GroupNorm(2, eps=0.0, dtype=jnp.float32, rngs=nnx.Rngs(0))
    x = jnp.array([[1.0, 10], [3, 30]]).reshape(1, 2, 1, 2)
    np.testing.assert_allclose(norm(x), jnp.array([[-1.0, -1], [1, 1]]).reshape(1, 2, 1, 2), atol=1e-5)


def test_group_norm_has_32_groups_of_neighbouring_channels():
    norm = GroupNorm(64, eps=1e-5, dtype=jnp.float32, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(2, 5, (2, 3, 3, 64)).astype(np.float32)
    y = np.asarray(norm(jnp.asarray(x)))
    for image in range(2):
        for group in range(32):
            part = x[image, :, :, 2 * group : 2 * group + 2]
            expected = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
            np.testing.assert_allclose(y[image, :, :, 2 * group : 2 * group + 2], expected, atol=1e-4)


def test_no_norm_changes_nothing():
    x = column(1.0, -2.0)
    assert make_norm("none", 1, eps=1e-5, dtype=jnp.float32, rngs=nnx.Rngs(0))(x) is x


@pytest.mark.parametrize("kind", KINDS)
def test_norm_keeps_the_compute_type(kind):
    norm = make_norm(kind, 4, eps=1e-5, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert norm(jnp.ones((1, 2, 2, 4), jnp.bfloat16)).dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(nnx.state(norm)))


@pytest.mark.parametrize("kind", ["frozen_batch", "batch", "group"])
def test_make_norm_sets_eps(kind):
    norm = make_norm(kind, 1, eps=3.0, dtype=jnp.float32, rngs=nnx.Rngs(0))
    # Variance 1 by initial statistics or, for group norm, of the values -1 and 1; with eps 3 all are halved.
    np.testing.assert_allclose(norm(column(-1.0, 1.0)), column(-0.5, 0.5), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_norm_of_vectors_is_that_of_images_of_one_pixel(kind):
    norm = make_norm(kind, 64, eps=1e-5, dtype=jnp.float32, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    for leaf in jax.tree.leaves(norm, is_leaf=lambda v: isinstance(v, nnx.Variable)):
        leaf[...] = jnp.asarray(rng.uniform(1, 2, 64), jnp.float32)
    x = jnp.asarray(rng.normal(2, 5, (6, 64)), jnp.float32)
    np.testing.assert_allclose(norm(x), norm(x.reshape(6, 1, 1, 64)).reshape(6, 64), atol=1e-5)


def test_frozen_batch_norm_of_any_rank():
    norm = FrozenBatchNorm(2, eps=0.0)
    norm.scale[...], norm.bias[...] = jnp.array([2.0, 3]), jnp.array([1.0, 0])
    for shape in ((2,), (3, 2), (2, 3, 2), (1, 2, 2, 3, 2)):
        np.testing.assert_array_equal(norm(jnp.ones(shape)), np.broadcast_to([3.0, 3], shape))
