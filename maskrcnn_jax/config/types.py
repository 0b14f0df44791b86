"""Types by the names that JSON gives them, "module:Class".

Types of this package are looked up. Others are never imported because a file names them: they are taken from an
experiment that the user gives (`types_of`), or imported because the user says that the file is trusted (`import_type`).
"""

import dataclasses
import importlib
import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

from maskrcnn_jax.config.python_file import run_python_file
from maskrcnn_jax.extension import Value
from maskrcnn_jax.messages.config_error import ConfigError, require

PACKAGE = "maskrcnn_jax"

FindType = Callable[[str, str], Any]
"""From the name of a type outside this package, and where the name is (for messages), to the type."""


def type_name(value: Any) -> str:
    """The name of a class or function; for one in an experiment's file the module is that file."""
    return f"{value.__module__}:{value.__qualname__}"


def is_own(module: str) -> bool:
    """Whether a module is one of this package."""
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


class ForeignTypeError(ConfigError):
    """A file names a type outside this package that is not trusted."""


def refuse(name: str, where: str) -> type:
    """Finds no type.

    Raises:
        ForeignTypeError: Always; it names the type and the remedy.
    """
    raise ForeignTypeError(
        f"{where} = {name!r}: this type is code outside {PACKAGE}, and no file runs code. Give the experiment that it "
        "belongs to, load_pretrained(source, config=load_config('EXPERIMENT.py')); or add --trust-code to the command "
        "if you trust the author of the file"
    )


def types_of(value: Any) -> FindType:
    """Finds the types of the values in a given configuration, or a part of one."""
    known = {_key(type_name(kind)): kind for kind in _types(value)}

    def find(name: str, where: str) -> type:
        return known[_key(name)] if _key(name) in known else refuse(name, where)

    return find


def import_type(name: str, where: str) -> Any:
    """Imports a type, which runs its module.

    Raises:
        ConfigError: It cannot be imported.
    """
    return imported(name, where)


def resolve_type(name: Any, kind: type, where: str, find_type: FindType) -> type:
    """The type of a name.

    Args:
        name: "module:Class".
        kind: What it must derive from.
        where: Where the name is, for messages.
        find_type: Finds types outside this package.

    Raises:
        ConfigError: There is no such type, or it is no dataclass that derives from `kind`.
    """
    require(isinstance(name, str) and ":" in name, where, name, 'must be "module:Class"')
    module, _, qualified = name.rpartition(":")
    if is_own(module):
        try:
            found = getattr(importlib.import_module(module), qualified, None)
        except ImportError:
            found = None
        # Names that the module only imports do not count.
        own = isinstance(found, type) and (found.__module__, found.__qualname__) == (module, qualified)
        require(own, where, name, f"{PACKAGE} has no such type; restore the name")
    else:
        found = find_type(name, where)
    fits = isinstance(found, type) and dataclasses.is_dataclass(found) and issubclass(found, kind)
    require(fits, where, name, f"must be a dataclass that derives from {kind.__name__}")
    return found  # type: ignore[return-value]


def imported(name: str, where: str) -> Any:
    """The object of a name, "module:name" or "file.py:name"; its module is run.

    Raises:
        ConfigError: It cannot be imported.
    """
    module, _, qualified = name.rpartition(":")
    try:
        if module.endswith(".py"):
            return getattr(run_python_file(Path(module)), qualified)
        return attrgetter(qualified)(importlib.import_module(module))
    except FileNotFoundError as error:
        remedy = f"cannot be imported: there is no file {error.filename}; start where it can be found, or name another"
        raise ConfigError(f"{where} = {name!r}: {remedy}") from error
    except Exception as error:
        remedy = f"cannot be imported ({error!r}); start where that module can be found, or name another"
        raise ConfigError(f"{where} = {name!r}: {remedy}") from error


def _types(value: Any) -> set[type]:
    """The types of all extension points' values in a configuration."""
    if isinstance(value, tuple):
        return set().union(*map(_types, value))
    if not dataclasses.is_dataclass(value):
        return set()
    own = {type(value)} if isinstance(value, Value) else set()
    return own.union(*(_types(getattr(value, field.name)) for field in dataclasses.fields(value)))


def _key(name: str) -> tuple[str, str]:
    """A name with the resolved path of its file, for comparison."""
    module, _, qualified = name.rpartition(":")
    return os.path.realpath(module) if module.endswith(".py") else module, qualified
