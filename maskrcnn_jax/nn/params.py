"""A model's weights as plain dicts from dotted name to array, and back.

`"backbone.layer1.0.convs.1.conv.kernel"` is the path of attributes and indices that leads to the array in the module.
"""

from typing import Any

from flax import nnx, traverse_util

Arrays = dict[str, Any]
"""Arrays by dotted name; their shapes if the model is abstract, as `nnx.eval_shape` makes it."""


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Arrays, Arrays]:
    """The model's structure, its parameters, and its statistics (what no gradient ever changes)."""
    structure, *states = nnx.split(model, nnx.Param, ...)
    params, statistics = (_by_name(nnx.to_pure_dict(state)) for state in states)
    return structure, params, statistics


def merge(structure: nnx.GraphDef, params: Arrays, statistics: Arrays) -> Any:
    """The model that `split` took apart, with these weights."""
    return nnx.merge(structure, _by_path(params), _by_path(statistics))


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
    structure, *mine = split(model)
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
    return merge(structure, params, statistics)
