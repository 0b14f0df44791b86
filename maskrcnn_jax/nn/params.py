"""A model's weights as plain dicts from dotted name to array, and back.

`"backbone.layer1.0.convs.1.conv.kernel"` is the path of attributes and indices that leads to the array in the module.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx, traverse_util

Arrays = dict[str, Any]
"""Arrays by dotted name; their shapes if the model is abstract, as `nnx.eval_shape` makes it."""


class Structure(NamedTuple):
    """A model without arrays; hashable, so it may be a static argument of a jitted function."""

    graph: nnx.GraphDef
    random: tuple[tuple[str, bool, tuple[int, ...]], ...]
    """Dotted name of each array of its random-number streams, whether it is a key or a count, and its shape."""


def flatten(model: nnx.Module) -> tuple[Structure, Arrays, Arrays]:
    """The model's structure, its parameters, and its statistics (what no gradient ever changes).

    The state of random-number streams, of dropout for one, is neither: `unflatten` makes it from a key.
    """
    graph, *states = nnx.split(model, nnx.Param, nnx.RngKey, nnx.RngCount, ...)
    params, keys, counts, statistics = (_by_name(nnx.to_pure_dict(state)) for state in states)
    random = [(name, name in keys, leaf.shape) for name, leaf in sorted((keys | counts).items())]
    return Structure(graph, tuple(random)), params, statistics


def unflatten(structure: Structure, params: Arrays, statistics: Arrays, *, key: jax.Array | None = None) -> Any:
    """The model that `flatten` took apart, with these weights.

    Args:
        structure: from `flatten`.
        params: by name.
        statistics: by name.
        key: decides all that is random in the model, such as what dropout drops; a constant if None.
    """
    random = _random_state(structure, jax.random.key(0) if key is None else key) if structure.random else {}
    return nnx.merge(structure.graph, _by_path(params), _by_path(random), _by_path(statistics))


def _random_state(structure: Structure, key: jax.Array) -> Arrays:
    return {
        name: jax.random.split(jax.random.fold_in(key, i), shape) if is_key else jnp.zeros(shape, jnp.uint32)
        for i, (name, is_key, shape) in enumerate(structure.random)
    }


def _by_name(nested: dict) -> Arrays:
    return {".".join(map(str, path)): value for path, value in traverse_util.flatten_dict(nested).items()}


def _by_path(arrays: Arrays) -> dict:
    paths = {tuple(int(part) if part.isdigit() else part for part in name.split(".")): name for name in arrays}
    return traverse_util.unflatten_dict({path: arrays[name] for path, name in paths.items()})


def replace(model: Any, params: Arrays, statistics: Arrays) -> Any:
    """The model with all its weights replaced.

    Raises:
        ValueError: the names or shapes are not the model's; the message lists every difference.
    """
    structure, *mine = flatten(model)
    wanted, given = (a | b for a, b in (mine, (params, statistics)))
    problems = [f"missing: {name} {wanted[name].shape}" for name in wanted.keys() - given.keys()]
    problems += [f"unexpected: {name} {given[name].shape}" for name in given.keys() - wanted.keys()]
    problems += [
        f"shape: {name} is {given[name].shape}, the model has {wanted[name].shape}"
        for name in wanted.keys() & given.keys()
        if wanted[name].shape != given[name].shape
    ]
    if problems:
        raise ValueError(
            "these weights belong to another architecture; take the configuration they were trained with:\n  "
            + "\n  ".join(sorted(problems))
        )
    return unflatten(structure, params, statistics)
