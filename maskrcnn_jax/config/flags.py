"""Command-line flags of a configuration.

A tuple of named values, such as the losses, has a group of flags for each: `--losses.mask.weight 2`. The transforms
have short flags besides; see `ShortFlags`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from maskrcnn_jax.config.short_flags import ShortFlags
from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.extension import Value

C = TypeVar("C")


def apply_flags(config: C, flags: Sequence[str], program: str) -> C:
    """The configuration with the values that flags give.

    Args:
        config: The defaults; flags change neither the types of its values nor which optional sections it has.
        flags: Such as `("--run.steps", "10")`. `--help` lists all and exits.
        program: The name of the program in usage messages.

    Raises:
        SystemExit: A flag is misspelt or of the wrong type; the message on standard error suggests a name.
    """
    named = _with_names(config)
    options = (tyro.conf.AvoidSubcommands,)
    return _without_names(tyro.cli(type(named), prog=program, args=list(flags), default=named, config=options), config)


def _with_names(value: Any) -> Any:
    """A dataclass whose tuples of named values are dataclasses with a field for each."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    kinds = get_type_hints(type(value), include_extras=True)
    fields, changed = [], False
    for field in dataclasses.fields(value):
        own, kind = getattr(value, field.name), kinds[field.name]
        if _holds_values(kind):
            entries = [(entry.name, type(entry), dataclasses.field(default=entry)) for entry in own]
            group = dataclasses.make_dataclass(field.name, entries, frozen=True)
            fields.append((field.name, group, dataclasses.field(default=group())))
            changed = True
        elif (named := _with_names(own)) is not own:
            fields.append((field.name, type(named), dataclasses.field(default=named)))
            changed = True
    if not changed:
        return value
    kept = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    bases: tuple[type, ...] = (type(value),)
    if isinstance(value, DataConfig):
        bases += (ShortFlags,)
        kept |= dataclasses.asdict(ShortFlags.of(value))
    kind = dataclasses.make_dataclass(type(value).__name__, fields, bases=bases, frozen=True)
    return kind(**kept | {name: field.default for name, _, field in fields})


def _without_names(value: Any, like: Any) -> Any:
    """The dataclass with tuples of named values again, as `like` has them."""
    if not dataclasses.is_dataclass(like) or isinstance(like, type):
        return value
    fields = {}
    for field in dataclasses.fields(like):
        own, old = getattr(value, field.name), getattr(like, field.name)
        if isinstance(old, tuple) and dataclasses.is_dataclass(own):
            fields[field.name] = tuple(getattr(own, entry.name) for entry in dataclasses.fields(own))
        else:
            fields[field.name] = _without_names(own, old) if type(own) is not type(old) else own
    if isinstance(like, DataConfig):
        fields["transforms"] = value.applied(ShortFlags.of(like), fields["transforms"])
    return dataclasses.replace(like, **fields)


def _holds_values(kind: Any) -> bool:
    options = get_args(kind)
    return (
        get_origin(kind) is tuple and bool(options) and isinstance(options[0], type) and issubclass(options[0], Value)
    )
