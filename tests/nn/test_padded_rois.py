"""Heads over slots, some of which are padding."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.distributed.mesh import data_mesh, replicated, spread
from maskrcnn_jax.nn import padded_rois as slots
from maskrcnn_jax.nn.heads.mask import MaskHead
from maskrcnn_jax.nn.padded_rois import apply_to_valid
from maskrcnn_jax.training.rematerialization import Rematerialized


@pytest.fixture(autouse=True)
def groups_of_three_slots(monkeypatch):
    monkeypatch.setattr(slots, "SLOTS_AT_ONCE", 6)  # of two images
    monkeypatch.setattr(slots, "IN_TRAINING", 0.0)


def mask_head(norm="frozen_batch"):
    return MaskHead(convs=1, channels=4, norm=norm).build(4, 2, 2, dtype=jnp.float32, rngs=nnx.Rngs(0))


def example(filled=(4, 1), count=7):
    """Two images of seven slots: three groups, the last one padded by two slots."""
    x = np.random.default_rng(0).normal(size=(2, count, 3, 3, 4)).astype(np.float32)
    return jnp.asarray(x), jnp.arange(count)[None] < jnp.array(filled)[:, None]


def gradients(head, x, valid, call=apply_to_valid):
    """Gradients of a sum of squares over the valid slots, by weights and input."""
    structure, weights = nnx.split(head)

    def loss(weights, x):
        out = call(nnx.merge(structure, weights), x, valid)
        return jnp.sum(jnp.where(valid[:, :, None, None, None], out, 0.0) ** 2)

    return jax.jit(jax.grad(loss, (0, 1)))(weights, x)


def test_valid_slots_equal_the_head_applied_directly():
    head, (x, valid) = mask_head(), example()
    out, expected = jax.jit(lambda x: apply_to_valid(head, x, valid))(x), head(x)
    assert out.shape == expected.shape == (2, 7, 6, 6, 2)
    # The groups are slots 0 to 2, 3 to 5 and 6: the first image reaches into the second group.
    np.testing.assert_allclose(out[:, :6], expected[:, :6], atol=1e-6)
    np.testing.assert_array_equal(out[:, 6], 0.0)


@pytest.mark.parametrize("head", [mask_head(), Rematerialized(mask_head())], ids=["kept", "computed again"])
def test_gradients_equal_those_of_the_head_applied_directly(head):
    x, valid = example()
    ours = gradients(head, x, valid)
    expected = gradients(head, x, valid, call=lambda head, x, _: head(x))
    for a, b in zip(*map(jax.tree.leaves, (ours, expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


def test_groups_of_padding_are_not_computed():
    head, (x, valid) = mask_head(), example()
    x = x.at[:, 6:].set(jnp.nan)  # would reach every weight's gradient, times zero
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients(head, x, valid)))


def test_no_valid_slots():
    head, (x, valid) = mask_head(), example(filled=(0, 0))
    np.testing.assert_array_equal(apply_to_valid(head, x, valid), 0.0)


@pytest.mark.parametrize(("platform", "loops"), [("cpu", True), ("cuda", False), ("tpu", False)])
def test_accelerators_compute_all_slots_at_once(platform, loops):
    head, (x, valid) = mask_head(), example()
    lowered = jax.jit(lambda x, valid: apply_to_valid(head, x, valid)).trace(x, valid)
    text = lowered.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.while" in text) == loops
    assert "stablehlo.convolution" in text


def test_trainable_batch_norms_see_all_slots():
    head, (x, valid) = nnx.view(mask_head("batch"), use_running_average=False), example(filled=(1, 0))
    expected_head = nnx.clone(head)
    np.testing.assert_array_equal(apply_to_valid(head, x, valid), expected_head(x))
    np.testing.assert_array_equal(head.convs[0].norm.mean[...], expected_head.convs[0].norm.mean[...])
    assert np.any(head.convs[0].norm.mean[...] != 0)


def test_heads_with_dropout_draw_for_every_slot():
    class Forgetful(nnx.Module):
        def __init__(self):
            self.dropout = nnx.Dropout(0.5, deterministic=False, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.dropout(x)

    x, valid = example()
    np.testing.assert_array_equal(apply_to_valid(Forgetful(), x, valid), Forgetful()(x))


def test_every_device_skips_its_own_padding():
    """Devices communicate only sums of gradients; each skips the padding of its own images."""
    head, (x, valid) = mask_head(), example()
    x, valid = (jnp.concatenate([a, a]) for a in (x, valid))  # four images for four devices
    structure, weights = nnx.split(head)

    def loss(weights, x, valid):
        out = apply_to_valid(nnx.merge(structure, weights), x, valid)
        return jnp.sum(jnp.where(valid[:, :, None, None, None], out, 0.0) ** 2)

    expected = jax.jit(jax.grad(loss))(weights, x, valid)
    mesh = data_mesh()
    with jax.set_mesh(mesh):
        arguments = jax.device_put((weights, x, valid), (replicated(mesh), spread(mesh), spread(mesh)))
        compiled = jax.jit(jax.grad(loss), out_shardings=replicated(mesh)).lower(*arguments).compile()
        found = compiled(*arguments)
    crossing = re.findall(r" (all-reduce|all-gather|all-to-all|collective-permute)\(", compiled.as_text())
    assert set(crossing) == {"all-reduce"} and len(crossing) <= len(jax.tree.leaves(weights))
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize(
    ("least", "dtype", "loops"),
    [(15_552.0, jnp.float32, True), (15_553.0, jnp.float32, False), (0.0, jnp.bfloat16, False)],
)
def test_small_convolutions_are_computed_at_once(monkeypatch, least, dtype, loops):
    """A 3×3 convolution of 4 channels over 6 slots of 3 × 3 cells: 2 · 9 · 6 · 9 · 4 · 4 operations."""
    monkeypatch.setattr(slots, "IN_TRAINING", least)
    head, (x, valid) = mask_head(), example()
    x = x.astype(dtype)
    text = jax.jit(lambda x, valid: apply_to_valid(head, x, valid)).lower(x, valid).as_text()
    assert ("stablehlo.while" in text) == loops
