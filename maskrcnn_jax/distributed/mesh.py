"""The device mesh and the shardings of arrays on it."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from maskrcnn_jax.messages.config_error import require

T = TypeVar("T")

DATA, FSDP = "data", "fsdp"
"""The axes of the mesh. The images of a batch are spread over both, large weights over the second."""
LARGE = 4 * 2**20
"""Bytes from which on an array is spread over `fsdp`: gathering smaller ones takes longer than it saves."""


def data_mesh(fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of all devices, one process after the other, so that each process reads its own samples of a batch.

    Args:
        fsdp: devices over which large weights are spread.
        devices: those of all processes if None.

    Raises:
        ConfigError: `fsdp` does not divide the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    require(len(devices) % fsdp == 0, "run.fsdp", fsdp, f"must divide the number of devices, {len(devices)}")
    line = np.array(sorted(devices, key=lambda device: (device.process_index, device.id)))
    return Mesh(line.reshape(-1, fsdp), (DATA, FSDP), axis_types=(AxisType.Auto,) * 2)


def replicate(tree: T) -> T:
    """Inside a program: gathers arrays that are sharded over `fsdp` between the steps."""
    if jax.sharding.get_abstract_mesh().empty:
        return tree
    return jax.lax.with_sharding_constraint(tree, PartitionSpec())


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def spread(mesh: Mesh) -> NamedSharding:
    """The leading axis cut into one piece per device."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def param_shardings(tree: Any, mesh: Mesh, large: int = LARGE) -> Any:
    """The shardings of weights, optimizer state and averages: large ones over `fsdp`, the others replicated.

    Args:
        tree: arrays, or their shapes; equal shapes get equal shardings.
        mesh: see `data_mesh`.
        large: bytes from which on an array is spread, by the longest of its axes that the devices divide.

    Returns:
        The same tree of `NamedSharding`.
    """
    count = mesh.shape.get(FSDP, 1)

    def sharding(leaf: Any) -> NamedSharding:
        axes = [axis for axis, length in enumerate(leaf.shape) if length % count == 0]
        if count == 1 or not axes or leaf.size * leaf.dtype.itemsize < large:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, FSDP))

    return jax.tree.map(sharding, tree)


def device_put_global(tree: T, shardings: Any) -> T:
    """Puts arrays that every process holds in whole onto the devices of all processes, by a tree of shardings."""

    def put(x: Any, sharding: NamedSharding) -> jax.Array:
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree, shardings)


def to_devices(batch: T, mesh: Mesh) -> T:
    """Puts this process's samples of a global batch onto its devices.

    Args:
        batch: a pytree of NumPy arrays with equal leading axes: the samples of this process.
        mesh: see `data_mesh`.

    Returns:
        The same tree of global arrays, spread over the mesh.
    """
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(spread(mesh), np.asarray(x)), batch)


def from_devices(batch: T, mesh: Mesh) -> T:
    """This process's samples of global arrays as NumPy arrays: the inverse of `to_devices`."""

    def own(x: jax.Array) -> np.ndarray:
        shards = jax.device_put(x, spread(mesh)).addressable_shards
        return np.concatenate([shard.data for shard in sorted(shards, key=lambda shard: shard.index[0].start or 0)])

    return jax.tree.map(own, batch)
