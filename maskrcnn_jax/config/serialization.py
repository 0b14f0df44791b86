"""Conversion of configurations to the plain values of `config.json`, and back.

The types come from the annotations of the dataclasses, so a value of the wrong type is found here and named. Reading
runs no code: functions of this package are looked up, others stay names until `trusted` imports them.
"""

import dataclasses
import importlib
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from maskrcnn_jax.config import Config, ForeignFunction, Value, require
from maskrcnn_jax.config.types import PACKAGE, FindType, imported, is_own, refuse, resolve_type, type_name

SHOWN = 100
"""Characters of an unknown name that a message shows."""


def to_json(value: Any) -> Any:
    """Returns the JSON value of a Path (its text) or a function ("module:name").

    A function that stands in an experiment's file has that file for a module.
    """
    if isinstance(value, Path):
        return str(value)
    return value.name if isinstance(value, ForeignFunction) else type_name(value)


def to_plain(value: Any) -> Any:
    """Returns a configuration, or a part of one, as nested dicts, lists and scalars; `from_json` reads them.

    An extension point's value has its "type" beside its fields.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {"type": type_name(type(value))} if isinstance(value, Value) else {}
        return named | {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    return to_json(value) if isinstance(value, Path | ForeignFunction) or callable(value) else value


def from_json(kind: Any, value: Any, where: str, find_type: FindType = refuse) -> Any:
    """Builds a value of an annotated type from its JSON form, or from such a value itself.

    Lists become tuples, so the result is hashable; whole numbers become floats where floats are due. A dataclass field
    that is missing takes its default, so run folders survive a new field. Functions outside this package become
    `ForeignFunction`s.

    Args:
        kind: A type: a dataclass, tuple, union, Literal, Path, function or scalar.
        value: Nested dicts, lists and scalars, and dataclasses.
        where: The dotted name of the value, for messages.
        find_type: Finds types outside this package by name; see `config.types`.

    Raises:
        ConfigError: A value of the wrong type or an unknown field, by name.
    """
    origin, options = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where, find_type)
    if origin in (Union, UnionType):
        if value is None and NoneType in options:
            return None
        return from_json(next(option for option in options if option is not NoneType), value, where, find_type)
    if origin is Literal:
        require(value in options, where, value, f"must be one of {', '.join(map(repr, options))}")
        return value
    if origin is tuple:
        require(isinstance(value, list | tuple), where, value, "must be a sequence")
        kinds = [options[0]] * len(value) if options[-1] is Ellipsis else options
        require(len(value) == len(kinds), where, value, f"must hold {len(kinds)} values")
        entries = enumerate(zip(kinds, value, strict=True))
        return tuple(from_json(k, v, f"{where}[{i}]", find_type) for i, (k, v) in entries)
    if origin is Callable:
        return value if callable(value) else _function(value, where)
    if kind is Path:
        require(isinstance(value, str | Path), where, value, "must be a path")
        require(_is_text(str(value)) and "\0" not in str(value), where, value, "must be a path that can exist")
        return Path(value)
    return _scalar(kind, value, where)


def trusted(config: Config) -> Config:
    """The configuration with the function that it names imported, which runs the function's module.

    Raises:
        ConfigError: The function cannot be imported.
    """
    if not isinstance(config.customize, ForeignFunction):
        return config
    return dataclasses.replace(config, customize=imported(config.customize.name, "customize"))


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


def _record(kind: Any, value: Any, where: str, find_type: FindType) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fits = isinstance(value, kind)
        require(fits, where or kind.__name__, value, f"must be a {kind.__name__}")
        _require_decorator(type(value), where)
        kind, value = type(value), {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    require(isinstance(value, dict), where or kind.__name__, value, f"must hold the fields of {kind.__name__}")
    prefix = f"{where}." if where else ""
    if "type" in value and issubclass(kind, Value):
        kind = resolve_type(value["type"], kind, f"{prefix}type", find_type)
        value = {name: entry for name, entry in value.items() if name != "type"}
    kinds = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        shown = repr(str(name))[1:-1][:SHOWN]  # a key of a file may hold line breaks and megabytes
        require(name in fields, prefix + shown, value[name], f"unknown field; {kind.__name__} has {', '.join(fields)}")
    for field in fields.values():
        needed = field.default is field.default_factory is dataclasses.MISSING
        require(field.name in value or not needed, prefix + field.name, None, "is missing; give it a value")
    return kind(
        **{
            name: from_json(_usual_type(kinds[name], fields[name], v), v, prefix + name, find_type)
            for name, v in value.items()
        }
    )


def _require_decorator(kind: type, where: str) -> None:
    """Raises ConfigError if a class declares fields without being a dataclass itself: they would not be recorded."""
    if "__dataclass_fields__" in vars(kind):
        return
    annotations = inspect.get_annotations(kind).items()
    fields = [name for name, type_ in annotations if type_ is not ClassVar and get_origin(type_) is not ClassVar]
    remedy = f"declares {', '.join(fields)} without being a dataclass; add @dataclass(frozen=True) above the class"
    require(not fields, where, kind, remedy)


def _usual_type(kind: Any, field: dataclasses.Field, value: Any) -> Any:
    """The type of a value that names none, as those of older files: the type of the field's default."""
    unnamed = isinstance(value, dict) and "type" not in value
    return type(field.default) if unnamed and isinstance(field.default, Value) else kind


def _function(value: Any, where: str) -> Callable[..., Any]:
    """A function of this package, or the name of another."""
    require(isinstance(value, str) and ":" in value, where, value, 'must be "module:name"')
    module, _, name = value.rpartition(":")
    if not is_own(module):
        return ForeignFunction(value)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        found = None
    # Names that the module only imports do not count.
    own = isinstance(found, FunctionType) and (found.__module__, found.__qualname__) == (module, name)
    require(own, where, value, f"{PACKAGE} has no such function; restore the name")
    return found  # type: ignore[return-value]
