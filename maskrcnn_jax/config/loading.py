"""Experiments on disk: a Python file with overrides becomes a Config; a run folder keeps it as `config.json`."""

import dataclasses
import json
import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path

from maskrcnn_jax.config import Config, ConfigError, ForeignFunction, ModelConfig
from maskrcnn_jax.config.flags import apply_flags
from maskrcnn_jax.config.migration import upgrade
from maskrcnn_jax.config.names import require_names
from maskrcnn_jax.config.python_file import run_python_file
from maskrcnn_jax.config.serialization import from_json, to_plain, trusted
from maskrcnn_jax.config.shipped import find_experiment
from maskrcnn_jax.config.types import FindType, import_type, refuse
from maskrcnn_jax.config.validation import validate
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import read_bytes, require_regular
from maskrcnn_jax.files.writing import write_text
from maskrcnn_jax.messages.system_errors import format_error

FILE_NAME = "config.json"
SECTIONS = tuple(field.name for field in dataclasses.fields(Config))
NETWORK = ("model", "customize")
"""The sections of a configuration that define the network of a run."""
LARGEST = 16 * 2**20
"""Bytes; a configuration has some thousand."""


def load_config(path: str | Path, overrides: Sequence[str] = (), model: ModelConfig | None = None) -> Config:
    """Loads an experiment: the `config` that a Python file defines, with command-line overrides applied.

    Args:
        path: A file like those in `configs/`, or the name of one of those, such as "mask_rcnn_r50_fpn_1x".
        overrides: Such as `("--run.steps", "10", "--data.train.folder", "data/mini")`. Fields that the
            file sets to None, and the types of its values, are changed in the file only. `--help` lists all and exits.
        model: Replaces the file's model, before overrides.

    Returns:
        The checked configuration; lists in the file have become tuples.

    Raises:
        ConfigError: The file is missing, fails or defines no `config`; or a value is not valid.
        SystemExit: An override is misspelt or of the wrong type; the message on standard error suggests a name.
    """
    # Dataclasses check no types and keep lists; converting through plain values checks and makes tuples.
    config = from_json(Config, _run(find_experiment(Path(path))), "")
    config = config if model is None else dataclasses.replace(config, model=model)
    if overrides:
        require_names(config)  # flags are called by them
        config = apply_flags(config, overrides, f"{Path(sys.argv[0]).name} {path}")
    validate(config)
    return config


def save_config(config: Config, folder: str | Path) -> None:
    """Writes the resolved configuration to `config.json` in a run folder, atomically.

    Args:
        config: What to write. Functions and types are written as "module:name".
        folder: The run folder; made where it does not exist.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE_NAME, json.dumps(to_plain(config), indent=2) + "\n")


def read_config(folder: str | Path, find_type: FindType = refuse, sections: Collection[str] = SECTIONS) -> Config:
    """Reads the configuration that `save_config` wrote, without running anything.

    It is equal to the configuration that was written, except that a function outside this package is a
    `ForeignFunction`, which raises an error when it is called.

    Args:
        folder: A run folder.
        find_type: Finds types outside this package by name, such as `types_of` a configuration that the user gave.
        sections: The sections to read; the others get their defaults, and may name types that are not found.

    Raises:
        ConfigError: No `config.json` there, not JSON, a field unknown or wrong, or a type that is not found.
    """
    path = Path(folder) / FILE_NAME
    try:
        values = parse_json(read_bytes(path, LARGEST))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give a run folder, which training writes") from None
    except OSError as error:
        raise ConfigError(format_error(error)) from error
    except JsonError as error:
        raise ConfigError(f"{path}: {str(error).partition('; ')[0]}; restore the file from a copy") from error
    try:
        values = upgrade(values)
        if isinstance(values, dict):
            values = {name: value for name, value in values.items() if name in sections or name not in SECTIONS}
        config = from_json(Config, values, "", find_type)
        validate(config)
    except ConfigError as error:
        raise type(error)(f"{path}: {error}") from error
    if isinstance(config.customize, ForeignFunction):
        config = dataclasses.replace(config, customize=ForeignFunction(config.customize.name, path))
    return config


def read_trusted_config(folder: str | Path) -> Config:
    """Reads the configuration of a run folder that the user trusts: the code that it names is run.

    Args:
        folder: A run folder.

    Raises:
        ConfigError: As `read_config`; or this is no folder, or its function cannot be imported.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"--trust-code: {folder} is no run folder, and nothing else names code; leave it out")
    try:
        return trusted(read_config(folder, import_type))
    except ConfigError as error:
        path = str(Path(folder) / FILE_NAME)
        raise ConfigError(str(error) if str(error).startswith(path) else f"{path}: {error}") from error


def _run(path: Path) -> Config:
    try:
        require_regular(path)
    except OSError as error:
        raise ConfigError(format_error(error)) from error
    try:
        module = run_python_file(path)
    except ConfigError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else next(reversed(lines), None)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        where = str(path) if line is None else f"{path}, line {line}"
        raise ConfigError(f"{where}: {reason}; fix the config file") from error
    config = getattr(module, "config", None)
    if not isinstance(config, Config):
        raise ConfigError(f"{path}: defines no `config`; end it with `config = Config(...)`")
    return config
