"""A function of one image on a batch: the same results on one device and on four, no communication."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from maskrcnn_jax.distributed.mesh import data_mesh, replicated, to_devices
from maskrcnn_jax.distributed.sharding import per_image, shard_over_images
from maskrcnn_jax.ops.nms import nms


def suppressed(boxes, scores):
    """Sorting and a loop of data-dependent length, which GSPMD would partition with collectives."""
    best, index = jax.lax.top_k(scores, 6)
    return {"keep": nms(boxes[index], best > 0.1, 0.3), "index": index}


@pytest.fixture(scope="module")
def example():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (8, 20, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 20, (8, 20, 2))], axis=-1).astype(np.float32)
    return boxes, rng.random((8, 20), np.float32)


def test_per_image_is_vmap(example):
    expected = jax.vmap(suppressed)(*map(jnp.asarray, example))
    assert 0 < np.sum(expected["keep"]) < expected["keep"].size
    for name, value in per_image(suppressed)(*example).items():
        np.testing.assert_array_equal(value, expected[name])


def test_per_image_on_four_devices(example):
    expected, mesh = jax.vmap(suppressed)(*map(jnp.asarray, example)), data_mesh()
    assert mesh.size == 4
    with jax.set_mesh(mesh):
        compiled = jax.jit(per_image(suppressed)).lower(*to_devices(example, mesh)).compile()
        found = compiled(*to_devices(example, mesh))
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])
        assert value.sharding.spec == PartitionSpec("data")
    assert "while" in compiled.as_text()
    assert not any(word in compiled.as_text() for word in ("all-gather", "all-reduce", "all-to-all", "permute("))


def test_gradients_pass_through_on_four_devices():
    """Each image's own argument carries its gradient; a shared weight outside gets the sum over all images."""
    x, mesh = np.arange(12, dtype=np.float32).reshape(4, 3), data_mesh()

    def total(weight, x):
        return jnp.sum(per_image(lambda row: row**2)(weight * x))

    with jax.set_mesh(mesh):
        weight = jax.device_put(jnp.float32(3.0), replicated(mesh))
        slope, by_image = jax.jit(jax.grad(total, argnums=(0, 1)))(weight, to_devices(x, mesh))
    # d/dw Σ w² x² = 2 w Σ x² = 6 · 506; d/dx = 2 w² x.
    np.testing.assert_allclose(slope, 6 * 506.0)
    np.testing.assert_allclose(by_image, 18 * x)


def test_images_that_do_not_divide_among_the_devices():
    mesh = data_mesh()
    with jax.set_mesh(mesh), pytest.raises(ValueError, match="6 images do not divide among 4 devices"):
        per_image(lambda row: row + 1)(jnp.ones((6, 3)))


def test_nested_calls_are_not_sharded_again(example):
    """Inside `shard_over_images`, `per_image` is the plain vmapped function."""
    mesh = data_mesh()
    with jax.set_mesh(mesh):
        found = jax.jit(lambda *batch: shard_over_images(lambda _, *own: per_image(suppressed)(*own), (), *batch))(
            *to_devices(example, mesh)
        )
    for name, value in jax.vmap(suppressed)(*map(jnp.asarray, example)).items():
        np.testing.assert_array_equal(found[name], value)
