"""Shardings of arrays on a mesh."""

import jax
import numpy as np

from maskrcnn_jax.distributed.mesh import data_mesh, replicated, spread, to_devices


def test_batches_are_sharded_and_weights_replicated():
    mesh, batch = data_mesh(), np.arange(8 * 20 * 4, dtype=np.float32).reshape(8, 20, 4)
    boxes, scores = to_devices((batch, batch[..., 0]), mesh)
    assert boxes.sharding == spread(mesh) == scores.sharding
    assert [shard.data.shape for shard in boxes.addressable_shards] == [(2, 20, 4)] * 4
    np.testing.assert_array_equal(boxes, batch)
    weight = jax.device_put(np.ones(3), replicated(mesh))
    assert [shard.data.shape for shard in weight.addressable_shards] == [(3,)] * 4
