"""Checks that the files of a checkpoint, as Orbax writes them, are complete."""

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tensorstore

from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import read_bytes, require_regular
from maskrcnn_jax.messages.system_errors import external_cause


class DamageError(Exception):
    """The content of a file is not what was written, or the file is missing; the message says which and how."""


def checked(path: Path, read: Callable[[], Any]) -> Any:
    """The result of `read`; errors that the content of the file or folder causes become `DamageError`.

    Args:
        path: What is read, for the message.
        read: Reads and parses it.

    Raises:
        DamageError: It is missing, or not what was written.
        OSError, MemoryError or ValueError: The operating system cannot read it; see `system_errors.external_cause`.
    """
    try:
        return read()
    except JsonError as error:
        raise DamageError(f"{path}: {str(error).partition('; ')[0]}") from error
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, None):
            raise
        raise DamageError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if external_cause(error) is not None:
            raise
        raise DamageError(f"{path}: {str(error).partition(chr(10))[0] or type(error).__name__}") from error


def require_descriptions(step: Path) -> None:
    """Checks the small files that Orbax itself reads of every step when it opens a folder.

    Raises:
        DamageError: One of them is no JSON object.
    """
    for file in (step / "_CHECKPOINT_METADATA", step / "metrics" / "metrics"):
        if file.exists() and not isinstance(_json(file), dict):
            raise DamageError(f"{file}: holds no JSON object")


def require_whole(item: Path) -> None:
    """Reads every array of a saved tree once.

    TensorStore checks the lengths, and the checksums of its own tables; the compressed values have none.

    Args:
        item: The tree, in the folder of its step, whose other files must be regular ones, too.

    Raises:
        DamageError: A file is missing, is no regular file, or is not what was written.
    """
    for file in item.parent.rglob("*"):
        if not file.is_dir():
            checked(file, partial(require_regular, file))
    for description in (item / "_METADATA", item / "_sharding", *(item / "array_metadatas").glob("*")):
        _json(description)
    if not checked(item, partial(_read_arrays, item)):
        raise DamageError(f"{item} holds no arrays")


def _json(file: Path) -> Any:
    return checked(file, lambda: parse_json(read_bytes(file)))


def _read_arrays(item: Path) -> list[bytes]:
    """The names of the stored pieces of all arrays, each of which is read and decoded once."""
    database = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{item}/"}}
    store = tensorstore.KvStore.open(database).result()
    keys = store.list().result()
    for key in keys:
        name, _, last = key.decode().rpartition("/")
        if last == "zarr.json":
            tensorstore.open({"driver": "zarr3", "kvstore": {**database, "path": f"{name}/"}}).result().read().result()
    return keys
