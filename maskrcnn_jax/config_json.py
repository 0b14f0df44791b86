"""Configurations as plain values, and back: what `config.json` holds.

The types come from the annotations of the dataclasses, so a value of the wrong type is found here and named.
"""

import dataclasses
import importlib
import runpy
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from maskrcnn_jax.config import ConfigError, require


def to_json(value: Any) -> Any:
    """Returns what JSON writes for a Path (its text) or a function ("module:name"): the `default=` of `json.dumps`.

    A function that stands in an experiment's file has that file for a module.
    """
    return str(value) if isinstance(value, Path) else f"{value.__module__}:{value.__qualname__}"


def from_json(kind: Any, value: Any, where: str) -> Any:
    """Builds a value of an annotated type from what JSON holds, or from what `dataclasses.asdict` gives.

    Lists become tuples, so the result is hashable; whole numbers become floats where floats are due. A dataclass field
    that is missing takes its default, so run folders survive a new field.

    Args:
        kind: A type: a dataclass, tuple, union, Literal, Path, function or scalar.
        value: Nested dicts, lists and scalars.
        where: The dotted name of the value, for messages.

    Raises:
        ConfigError: A value of the wrong type or an unknown field, by name.
    """
    origin, options = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin in (Union, UnionType):
        return None if value is None and NoneType in options else from_json(_member(options, value), value, where)
    if origin is Literal:
        require(value in options, where, value, f"must be one of {', '.join(map(repr, options))}")
        return value
    if origin is tuple:
        require(isinstance(value, list | tuple), where, value, "must be a sequence")
        kinds = [options[0]] * len(value) if options[-1] is Ellipsis else options
        require(len(value) == len(kinds), where, value, f"must hold {len(kinds)} values")
        return tuple(from_json(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is Callable:
        return value if callable(value) else _function(value, where)
    if kind is Path:
        require(isinstance(value, str | Path), where, value, "must be a path")
        return Path(value)
    accepted = (int, float) if kind is float else kind
    fits = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    require(fits, where, value, f"must be of type {kind.__name__}")
    return kind(value)


def _record(kind: Any, value: Any, where: str) -> Any:
    require(isinstance(value, dict), where or kind.__name__, value, f"must hold the fields of {kind.__name__}")
    kinds = get_type_hints(kind)
    prefix = f"{where}." if where else ""
    for name in value:
        require(name in kinds, prefix + name, value[name], f"unknown field; {kind.__name__} has {', '.join(kinds)}")
    for field in dataclasses.fields(kind):
        needed = field.default is dataclasses.MISSING
        require(field.name in value or not needed, prefix + field.name, None, "is missing; give it a value")
    return kind(**{name: from_json(kinds[name], v, prefix + name) for name, v in value.items()})


def _member(options: tuple[Any, ...], value: Any) -> Any:
    """The member of a union that a value belongs to: for dicts, the dataclass that has all the dict's fields."""
    members = [option for option in options if option is not NoneType]
    keys = set(value) if isinstance(value, dict) else set()
    return next((m for m in members if keys <= set(getattr(m, "__dataclass_fields__", ()))), members[0])


def _function(value: Any, where: str) -> Callable[..., Any]:
    require(isinstance(value, str) and ":" in value, where, value, 'must be "module:name"')
    module, name = value.rsplit(":", 1)
    try:
        if module.endswith(".py"):
            return runpy.run_path(module, run_name=module)[name]
        return attrgetter(name)(importlib.import_module(module))
    except Exception as error:
        remedy = f"cannot be imported ({error!r}); start where that module can be found, or name another function"
        raise ConfigError(f"{where} = {value!r}: {remedy}") from error
