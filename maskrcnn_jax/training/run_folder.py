"""A run folder: the one run that it belongs to, the one process that writes to it, and what was changed when."""

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.checkpoints.checkpoint import steps
from maskrcnn_jax.config import Config, ForeignFunction, Value, require
from maskrcnn_jax.config.loading import FILE_NAME, read_config, save_config
from maskrcnn_jax.config.serialization import to_json, to_plain
from maskrcnn_jax.config.types import types_of
from maskrcnn_jax.distributed.processes import gather, is_first
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.lock import Locked, lock
from maskrcnn_jax.files.reading import read_bytes
from maskrcnn_jax.files.writing import write_text
from maskrcnn_jax.messages.system_errors import format_error
from maskrcnn_jax.training import metrics

log = logging.getLogger(__name__)

LOCK, HISTORY = "training.lock", "history.jsonl"
FIXED = (
    "model",
    "customize",
    "data.train",
    "data.validation",
    "optimizer.name",
    "optimizer.ema_decay",
    "run.init",
    "run.seed",
)
"""What a run is, by dotted name: the meaning of its weights, of its optimizer's state, of its metrics and of the order
of its data. All else may change when it is resumed."""


class RunFolderError(RuntimeError):
    """A folder that the given experiment may not be trained in; the message says what differs and the remedy."""


class Difference(NamedTuple):
    """A field of which the folder holds another value than is given."""

    name: str
    saved: Any
    given: Any

    def __str__(self) -> str:
        return f"{self.name}: saved {_shown(self.saved)}, given {_shown(self.given)}"


class Resumption(NamedTuple):
    """How a folder is trained in."""

    config: Config
    """The experiment; `run.init` is what the run began with."""
    step: int
    """Of the checkpoint that it resumes from; 0 where there is none."""
    changed: tuple[Difference, ...]
    """What the run had other values of until now."""
    begun: bool
    """Whether the folder holds checkpoints or metrics of this run."""
    finished: bool
    """Whether all of the run's steps are done and everything is written."""


def examine(config: Config) -> Resumption:
    """Finds out how to train an experiment in its folder; changes nothing.

    Raises:
        RunFolderError: The folder belongs to another run, or its configuration or its history is missing or damaged.
        ConfigError: The run has more steps than are asked for, or its `config.json` is damaged.
        CheckpointError or RecordError: The folder cannot be read.
    """
    folder = config.run.folder
    saved_steps, records = steps(folder), metrics.read(folder)
    done = max(saved_steps, default=0)
    if not saved_steps and not records:
        return Resumption(config, 0, (), begun=False, finished=False)
    if not (folder / FILE_NAME).exists():
        raise RunFolderError(
            f"{folder} holds a run without its {FILE_NAME}, so nothing says whose it is; restore that file, or name "
            "another --run.folder"
        )
    saved = read_config(folder, types_of(config))
    found = differences(saved, config)
    if fixed := [difference for difference in found if _is_fixed(difference.name)]:
        moved = any(isinstance(difference.saved, Path) for difference in fixed)
        remedy = f"; where files have only moved, write their new path into {folder / FILE_NAME}" if moved else ""
        raise RunFolderError(
            f"{folder} holds another run: {'; '.join(map(str, fixed))}. Give what was saved, or another --run.folder"
            f"{remedy}. Nothing was changed"
        )
    remedy = f"{folder} is at step {done}; set more, or another folder"
    require(done <= config.run.steps, "run.steps", config.run.steps, remedy)
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, init=saved.run.init))
    finished = done == config.run.steps and any(entry.get("finished") == done for entry in read_history(folder))
    return Resumption(config, done, tuple(found), begun=True, finished=finished)


def differences(saved: Any, given: Any, name: str = "") -> list[Difference]:
    """The fields of two configurations that differ, by dotted name.

    Named values, such as the losses, are compared one by one if both configurations have the same names. Paths are
    compared by where they lead. `run.folder` is where the run lies, not what it is; a `run.init` that is not given asks
    for no other.
    """
    if name == "run.folder" or (name == "run.init" and given is None):
        return []
    if dataclasses.is_dataclass(saved) and type(saved) is type(given):
        prefix = f"{name}." if name else ""
        return [
            difference
            for field in dataclasses.fields(saved)
            for difference in differences(getattr(saved, field.name), getattr(given, field.name), prefix + field.name)
        ]
    names = _names(saved)
    if names and names == _names(given):
        pairs = zip(names, saved, given, strict=True)
        return [found for own, old, new in pairs for found in differences(old, new, f"{name}.{own}")]
    return [] if _key(saved) == _key(given) else [Difference(name, saved, given)]


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Holds a run folder, made where there is none, for the processes of one run.

    The first process locks it and removes what a killed process left half written. The others hear of it.

    Raises:
        RunFolderError: Another run is at work on it, or it cannot be written; in all processes.
    """
    with contextlib.ExitStack() as held:
        refused: list[str] = []
        if is_first():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(lock(folder / LOCK))
                for partial in folder.glob(".*.partial*"):
                    partial.unlink()
            except Locked as error:
                refused.append(f"{folder} is being trained already: {error}")
            except OSError as error:
                refused.append(format_error(error))
        for message in gather(refused):
            raise RunFolderError(message)
        yield


def write_start(resumption: Resumption) -> None:
    """Saves the configuration that training continues with, if it is new, and notes it in the history."""
    config, folder = resumption.config, resumption.config.run.folder
    if not resumption.begun:
        (folder / HISTORY).unlink(missing_ok=True)
    elif not resumption.changed:
        return
    elif not (folder / HISTORY).exists():  # a run of before there were histories
        _note(folder, step=0, config=to_plain(read_config(folder, types_of(config))))
    _note(folder, step=resumption.step, config=to_plain(config))
    save_config(config, folder)


def write_end(folder: Path, step: int) -> None:
    """Notes in the history that everything of a run is written."""
    _note(folder, finished=step)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """What happened in a run folder, in order.

    Returns:
        `{"time", "step", "config"}` for each configuration and the step from which it held, and `{"time", "finished"}`
        for each end. A last line that was cut off is left out.

    Raises:
        RunFolderError: A line is damaged.
    """
    path = folder / HISTORY
    entries = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            entry = parse_json(line)
        except JsonError as error:
            reason = str(error).partition("; ")[0]
            raise RunFolderError(f"{path}, line {number} is damaged: {reason}; remove that line") from error
        if not isinstance(entry, dict):
            raise RunFolderError(f"{path}, line {number} is damaged: it holds no JSON object; remove that line")
        entries.append(entry)
    return entries


def listed(changed: tuple[Difference, ...]) -> str:
    """Differences in one line, for the log."""
    return ", ".join(f"{name} {_shown(saved)} → {_shown(given)}" for name, saved, given in changed)


def _lines(path: Path) -> list[bytes]:
    try:
        return read_bytes(path).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(format_error(error)) from error


def _note(folder: Path, **entry: Any) -> None:
    lines = [line.decode("utf-8", "replace") for line in _lines(folder / HISTORY)]
    time = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(folder / HISTORY, "".join(f"{line}\n" for line in [*lines, json.dumps({"time": time, **entry})]))


def _is_fixed(name: str) -> bool:
    return any(name == fixed or name.startswith(f"{fixed}.") for fixed in FIXED)


def _names(value: Any) -> list[str]:
    """The names of a tuple of named values; empty for anything else."""
    values = value if isinstance(value, tuple) else ()
    return [getattr(entry, "name", "") for entry in values if isinstance(entry, Value)]


def _key(value: Any) -> Any:
    """What of a value decides whether it is the same."""
    if isinstance(value, Path):
        return os.path.realpath(value)
    if callable(value) and not isinstance(value, type | Value):
        module, _, name = to_json(value).rpartition(":")
        return (os.path.realpath(module) if module.endswith(".py") else module, name)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, ForeignFunction) or (callable(value) and not isinstance(value, Value)):
        return repr(to_json(value))
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
