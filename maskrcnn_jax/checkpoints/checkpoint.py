"""Checkpoints in a run folder. Orbax is used in this file alone; `checkpoint_files.py` knows its file format.

A run folder holds `checkpoints/<step>/`. A step is written under a temporary name and renamed when it is complete, so a
kill at any moment leaves the earlier steps as they were.
"""

import errno
import logging
import math
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat, TypeVar

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from maskrcnn_jax.checkpoints.checkpoint_files import DamageError, checked, require_descriptions, require_whole
from maskrcnn_jax.distributed.devices import require_devices
from maskrcnn_jax.messages.system_errors import external_cause, format_error

State = TypeVar("State")
FOLDER_NAME = "checkpoints"
ITEM = "state"
WEIGHTS = ("params", "statistics", "ema")

# What Orbax logs of a failed save or load, hundreds of lines, is the cause of the CheckpointError that follows.
logging.getLogger("absl").addFilter(lambda record: "orbax" not in Path(record.pathname).parts)


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or read; the message names folder, step and remedy."""


class Weights(NamedTuple):
    """The network's weights in a checkpoint: dicts of NumPy arrays, nested or flat as they were saved."""

    step: int
    params: dict
    statistics: dict
    ema: dict | None
    """Moving average of `params`; None where none was kept."""


class Checkpoints:
    """The checkpoints of the one run that writes to a folder.

    Leftovers of an interrupted save are removed when the folder is opened.

    Args:
        folder: The run folder; created if missing.
        keep: Latest checkpoints to keep, at least 1.
        best: Name of the metric whose best checkpoint is kept as well; higher is better, the later of equals.
            None keeps the latest only.

    Raises:
        CheckpointError: The folder cannot be read or written, or a checkpoint in it is damaged.
    """

    def __init__(self, folder: Path | str, *, keep: int, best: str | None = None) -> None:
        if keep < 1:
            raise ValueError(f"keep = {keep!r}: keep at least 1 checkpoint")
        self._folder = Path(folder).absolute() / FOLDER_NAME
        self._best = best
        policies = ocp.training.preservation_policies
        kept: list[Any] = [policies.LatestN(keep)]
        if best is not None:
            kept.append(
                policies.BestN(get_metric_fn=lambda metrics: metrics[best], n=1, keep_checkpoints_without_metrics=False)
            )
        policy = policies.AnyPreservationPolicy(kept)
        self._saving: Any = None
        for step in steps(folder):
            _read(path := self._folder / str(step), partial(require_descriptions, path))
        try:
            _remove_unfinished(self._folder)
            self._checkpointer = ocp.training.Checkpointer(self._folder, preservation_policy=policy)
        except Exception as error:
            raise CheckpointError(f"{self._folder} cannot be opened: {external_cause(error) or error}") from error

    @property
    def latest(self) -> int | None:
        """The last step saved, or None. A save in progress counts once it is complete."""
        return max(steps(self._folder.parent), default=None)

    @property
    def best_step(self) -> int | None:
        """The step with the highest metric, or None while no checkpoint has one."""
        self.wait()
        rated = [(entry.metrics[self._best], entry.step) for entry in self._checkpointer.checkpoints if entry.metrics]
        return max(rated)[1] if rated else None

    def save(self, step: int, state: Any, metrics: Mapping[str, SupportsFloat] | None = None) -> None:
        """Starts to save; waits first for the save before.

        The arrays are copied before this returns, so they may be donated. A step that is saved already stays as it is.

        Args:
            step: Steps done.
            state: Any pytree of arrays.
            metrics: Results of an evaluation at this step. Without the metric `best`, or where it is not finite, the
                checkpoint cannot become the best.

        Raises:
            CheckpointError: This save or the one before failed.
        """
        self.wait()
        if step in steps(self._folder.parent):
            return
        rating = math.nan if metrics is None or self._best is None else float(metrics.get(self._best, math.nan))
        rated = {self._best: rating} if math.isfinite(rating) else None
        try:
            self._saving = self._checkpointer.save_async(
                step, state, checkpointable_name=ITEM, force=True, metrics=rated
            )
        except Exception as error:
            raise self._not_saved(error) from error

    def restore(self, like: State, step: int | None = None) -> State:
        """Reads a checkpoint into the structure of `like`.

        Args:
            like: A pytree of arrays or `jax.ShapeDtypeStruct`s. Leaves are placed by their sharding, independent of
                the devices they were saved from; without one, on the first device. NumPy leaves stay on the host.
            step: The latest by default.

        Returns:
            The saved values in the tree of `like`.

        Raises:
            CheckpointError: There is no such checkpoint, it is damaged, or it is of another architecture; then the
                message lists every name that is missing, unexpected, or of another shape or type.
        """
        self.wait()
        path = _step_path(self._folder.parent, step)
        _check_same(path, _leaves(_read(path, partial(_saved_tree, path))), _leaves(like))
        return _read(path, lambda: ocp.load(path, jax.tree.map(_placed, like), checkpointable_name=ITEM))

    def wait(self) -> None:
        """Waits until nothing is being written.

        Raises:
            CheckpointError: The save in progress failed.
        """
        saving, self._saving = self._saving, None
        try:
            if saving is not None:
                # A save has an event loop: a thread and three descriptors, which Orbax frees when its result is taken.
                saving.result()
        except Exception as error:
            raise self._not_saved(error) from error

    def close(self) -> None:
        """Waits, then releases the folder.

        Raises:
            CheckpointError: The save in progress failed.
        """
        try:
            self.wait()
        finally:
            self._checkpointer.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _not_saved(self, error: Exception) -> CheckpointError:
        intact = steps(self._folder.parent)
        state = f"the checkpoints of steps {intact} are intact" if intact else "no earlier checkpoint exists"
        return CheckpointError(
            f"saving a checkpoint in {self._folder} failed: {external_cause(error) or error}; {state}, rerun the same "
            "command to resume"
        )


def steps(folder: Path | str) -> list[int]:
    """The steps of the complete checkpoints in a run folder, ascending; empty where there are none.

    Raises:
        CheckpointError: `checkpoints` is no folder, or cannot be read.
    """
    path = Path(folder) / FOLDER_NAME
    try:
        names = [entry.name for entry in path.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno != errno.ENOTDIR:
            raise CheckpointError(format_error(error)) from error
        file = path if Path(folder).is_dir() else folder
        raise CheckpointError(f"{file}: is a file, not a folder; name another run folder") from error
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def load_weights(folder: Path | str, step: int | None = None) -> Weights:
    """Reads the network's weights from a run folder, without the optimizer's state.

    It leaves the folder as it is, so a run may be read while it trains.

    Args:
        folder: The run folder.
        step: The latest by default.

    Raises:
        CheckpointError: There is no such checkpoint or it is damaged.
    """
    require_devices()
    path = _step_path(Path(folder).absolute(), step)
    saved = _read(path, partial(_saved_tree, path))
    like = jax.tree.map(_on_host, {name: saved[name] for name in WEIGHTS if saved.get(name) is not None})
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    with context:
        weights = _read(path, lambda: ocp.load(path, like, checkpointable_name=ITEM))
    return Weights(int(path.name), weights["params"], weights.get("statistics", {}), weights.get("ema"))


def _remove_unfinished(folder: Path) -> None:
    """Removes saves that were interrupted before Orbax had written their description, which Orbax itself overlooks."""
    if jax.process_index() == 0:
        for entry in folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(entry)


def _step_path(folder: Path, step: int | None) -> Path:
    found = steps(folder)
    if not found:
        raise CheckpointError(f"{folder} holds no checkpoint; give the folder of a run that has saved one")
    if step is not None and step not in found:
        raise CheckpointError(f"{folder} holds no checkpoint of step {step}; it holds {found}")
    return folder / FOLDER_NAME / str(found[-1] if step is None else step)


def _read(path: Path, read: Callable[[], Any]) -> Any:
    """The result of `read`; errors become CheckpointErrors with a remedy.

    A checkpoint is called damaged only if reading has shown that: a file is missing, or is not what was written.
    """
    try:
        return read()
    except Exception as error:
        about = f"the checkpoint of step {path.name} in {path.parent}"
        if not path.exists():
            raise CheckpointError(f"{about} was deleted while it was read; start again") from error
        others = [step for step in steps(path.parent.parent) if step != int(path.name)]
        if isinstance(error, DamageError):
            remedy = f"delete {path} to resume from another step: {others}" if others else "no other step exists"
            raise CheckpointError(f"{about} is damaged: {error}; {remedy}") from error
        if (cause := external_cause(error)) is not None:
            raise CheckpointError(f"{about} cannot be read: {cause}") from error
        kept = f"there is another step: {others}" if others else "no other step exists"
        raise CheckpointError(f"{about} cannot be restored, though its files are whole: {error}; {kept}") from error


def _saved_tree(path: Path) -> dict[str, Any]:
    """Nested dicts and lists with shape and type of each array of a checkpoint.

    Every file is read once before: Orbax reads all arrays concurrently, and one damaged array makes it print the
    tracebacks of all others.
    """
    item = path / ITEM
    require_whole(item)
    tree = checked(item, lambda: ocp.metadata(path, checkpointable_name=ITEM).metadata)
    if tree is None:  # Orbax could not read the files
        raise DamageError(f"{item} has no readable description")
    return tree


def _leaves(tree: Any) -> dict[str, Any]:
    """Dotted name → leaf."""
    entries = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in entries}


def _check_same(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    def form(leaf: Any) -> str:
        return f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"

    problems = [f"  missing:    {name} {form(wanted[name])}" for name in wanted if name not in saved]
    problems += [f"  unexpected: {name} {form(saved[name])}" for name in saved if name not in wanted]
    problems += [
        f"  differs:    {name} is {form(saved[name])}, the model has {form(wanted[name])}"
        for name in wanted
        if name in saved and form(saved[name]) != form(wanted[name])
    ]
    if problems:
        listed = "\n".join(problems)
        raise CheckpointError(
            f"the checkpoint {path} is of another architecture or optimizer; use the configuration saved in its run "
            f"folder, or another run folder:\n{listed}"
        )


def _placed(leaf: Any) -> Any:
    """A leaf as Orbax expects it: shape, type and sharding."""
    if isinstance(leaf, np.ndarray):
        return leaf
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _on_host(leaf: Any) -> np.ndarray:
    """An array of the leaf's shape and type that takes no memory: Orbax then restores to NumPy."""
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)
