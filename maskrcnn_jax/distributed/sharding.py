"""Functions of one image lifted to a batch, of which every device computes its own images by itself."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.sharding import PartitionSpec

T = TypeVar("T")


def per_image(function: Callable[..., T]) -> Callable[..., T]:
    """Lifts a function of one image to a batch: each argument and result gains a leading image axis.

    Under a mesh (`jax.set_mesh`) every device runs its own images by itself, so that sorting and data-dependent loops
    inside cause no communication. Everything that varies must be an argument; what the function closes over must be
    constant and carries no gradient.
    """
    batched = jax.vmap(function)
    return lambda *arguments: shard_over_images(lambda _, *own: batched(*own), (), *arguments)


def shard_over_images(function: Callable[..., T], shared: Any, *arguments: Any) -> T:
    """`function(shared, *arguments)`; under a mesh every device calls it with the arguments of its own images.

    Args:
        function: from one leading image axis to the same.
        shared: a pytree that is whole on every device, such as weights; its gradient is added up over devices, in its
            own type.
        arguments: pytrees whose leading axis counts images.

    Raises:
        ValueError: the images do not divide among the devices.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.manual_axes:  # no mesh, or a device that is by itself already
        return function(shared, *arguments)
    images = jax.tree.leaves(arguments)[0].shape[0]
    if images % mesh.size:
        raise ValueError(f"{images} images do not divide among {mesh.size} devices: give each as many as the others")
    cut = PartitionSpec(mesh.axis_names)
    specs = (PartitionSpec(), *[cut] * len(arguments))
    return jax.shard_map(function, in_specs=specs, out_specs=cut, check_vma=False)(shared, *arguments)
