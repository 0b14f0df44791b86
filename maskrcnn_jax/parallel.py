"""Where arrays live: the device mesh, and functions of one image lifted to a batch spread over it."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

T = TypeVar("T")

DATA = "data"
"""The mesh axis over which the images of a batch are spread."""


def data_mesh() -> Mesh:
    """All devices of all processes in one line."""
    return jax.make_mesh((jax.device_count(),), (DATA,), axis_types=(AxisType.Auto,))


def per_image(function: Callable[..., T]) -> Callable[..., T]:
    """Lifts a function of one image to a batch: each argument and result gains a leading image axis.

    Under a mesh (`jax.set_mesh`) every device runs its own images by itself, so that sorting and data-dependent loops
    inside cause no communication. Everything that varies must be an argument; what the function closes over must be
    constant and carries no gradient.
    """

    def lifted(*args: Any) -> T:
        mesh = jax.sharding.get_abstract_mesh()
        batched = jax.vmap(function)
        if DATA not in mesh.axis_names:
            return batched(*args)
        spread = PartitionSpec(DATA)
        return jax.shard_map(batched, in_specs=spread, out_specs=spread, check_vma=False)(*args)

    return lifted


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def spread(mesh: Mesh) -> NamedSharding:
    """The leading axis cut into one piece per device."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def to_devices(batch: T, mesh: Mesh) -> T:
    """Puts this process's rows of a global batch onto its devices.

    Args:
        batch: a pytree of NumPy arrays with equal leading axes: the rows that belong to this process.
        mesh: see `data_mesh`.

    Returns:
        The same tree of global arrays, spread over the mesh.
    """
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(spread(mesh), np.asarray(x)), batch)
