"""Configurations as plain values, and back: what `config.json` holds.

The types come from the annotations of the dataclasses, so a value of the wrong type is found here and named. Reading
runs no code: functions of this package are looked up, others stay names until `trusted` imports them.
"""

import dataclasses
import importlib
import math
import runpy
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import FunctionType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from maskrcnn_jax.config import Config, ConfigError, ForeignFunction, require

PACKAGE = "maskrcnn_jax"
SHOWN = 100
"""Characters of an unknown name that a message shows."""


def to_json(value: Any) -> Any:
    """Returns what JSON writes for a Path (its text) or a function ("module:name"): the `default=` of `json.dumps`.

    A function that stands in an experiment's file has that file for a module.
    """
    if isinstance(value, Path):
        return str(value)
    return value.name if isinstance(value, ForeignFunction) else f"{value.__module__}:{value.__qualname__}"


def from_json(kind: Any, value: Any, where: str) -> Any:
    """Builds a value of an annotated type from what JSON holds, or from what `dataclasses.asdict` gives.

    Lists become tuples, so the result is hashable; whole numbers become floats where floats are due. A dataclass field
    that is missing takes its default, so run folders survive a new field. Functions outside this package become
    `ForeignFunction`s.

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
        require(_is_text(str(value)) and "\0" not in str(value), where, value, "must be a path that can exist")
        return Path(value)
    return _scalar(kind, value, where)


def trusted(config: Config) -> Config:
    """The configuration with the function that it names imported, which runs the module that the function stands in.

    Raises:
        ConfigError: The function cannot be imported.
    """
    if not isinstance(config.customize, ForeignFunction):
        return config
    return dataclasses.replace(config, customize=_imported(config.customize.name, "customize"))


def _scalar(kind: type, value: Any, where: str) -> Any:
    accepted = (int, float) if kind is float else kind
    fits = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    require(fits, where, value, f"must be of type {kind.__name__}")
    if kind is str:
        require(_is_text(value), where, value, "must be text that UTF-8 can hold: no single halves of surrogate pairs")
    elif isinstance(value, float):
        require(math.isfinite(value), where, value, "must be finite")
    else:
        require(abs(value) < 2**63, where, value, "must be below 2^63")
    return kind(value)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _record(kind: Any, value: Any, where: str) -> Any:
    require(isinstance(value, dict), where or kind.__name__, value, f"must hold the fields of {kind.__name__}")
    kinds = get_type_hints(kind)
    prefix = f"{where}." if where else ""
    for name in value:
        shown = repr(str(name))[1:-1][:SHOWN]  # a key of a file may hold line breaks and megabytes
        require(name in kinds, prefix + shown, value[name], f"unknown field; {kind.__name__} has {', '.join(kinds)}")
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
    """A function of this package, or the name of another."""
    require(isinstance(value, str) and ":" in value, where, value, 'must be "module:name"')
    module, _, name = value.rpartition(":")
    if module != PACKAGE and not module.startswith(f"{PACKAGE}."):
        return ForeignFunction(value)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        found = None
    # What the module has imported from elsewhere does not count as its own.
    own = isinstance(found, FunctionType) and (found.__module__, found.__qualname__) == (module, name)
    require(own, where, value, f"{PACKAGE} has no such function; restore the name")
    return found  # type: ignore[return-value]


def _imported(value: str, where: str) -> Callable[..., Any]:
    module, _, name = value.rpartition(":")
    try:
        if module.endswith(".py"):
            return runpy.run_path(module, run_name=module)[name]
        return attrgetter(name)(importlib.import_module(module))
    except Exception as error:
        remedy = f"cannot be imported ({error!r}); start where that module can be found, or name another function"
        raise ConfigError(f"{where} = {value!r}: {remedy}") from error
