"""Files of weights of any format, as mappings from name to array."""

import difflib
import logging
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from maskrcnn_jax.checkpoints.formats.keras_file import read_keras
from maskrcnn_jax.checkpoints.formats.stand_ins import PickledArray, kind_of
from maskrcnn_jax.checkpoints.formats.state_dict import CONTAINERS, find_state_dict, summary
from maskrcnn_jax.checkpoints.formats.stored import ArrayMapping, StoredArray, WeightFileError, damaged, stored_view
from maskrcnn_jax.checkpoints.formats.torch_file import LEGACY_START, read_legacy, read_zip
from maskrcnn_jax.checkpoints.formats.unpickle import Unpickler
from maskrcnn_jax.checkpoints.zoo.download import locate
from maskrcnn_jax.checkpoints.zoo.published import PUBLISHED
from maskrcnn_jax.files.reading import NotAFile, require_regular
from maskrcnn_jax.messages.counts import listed

log = logging.getLogger(__name__)

SAFETENSORS_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}

SHARED = 16
"""Bytes of all arrays per byte of the file, at most: some share their bytes, as a layer that is used twice."""

PICKLE_STARTS = (b"\x80", b"(dp", b"}q")
"""First bytes of pickles: any from protocol 2 on, and dicts in protocols 0 and 1."""


class WeightFile(ArrayMapping):
    """The arrays of a file by name, each read on access and not kept.

    The file stays open and must not change during the lifetime of this object.

    Args:
        path: the file.
        arrays: what is in it.
        metadata: the texts that a .safetensors file has beside its arrays; empty for other formats.
    """

    def __init__(self, path: Path, arrays: Mapping[str, StoredArray], metadata: Mapping[str, str]) -> None:
        self.path = path
        self.metadata = metadata
        self._arrays = arrays

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        return self._arrays[name].shape

    def dtype(self, name: str) -> np.dtype:
        """The type of an array, without reading it."""
        return self._arrays[name].dtype

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        try:
            return array.read()
        except (OSError, MemoryError, SafetensorError) as error:
            raise WeightFileError(f"{self.path}: {name} of shape {array.shape} cannot be read: {error}") from error

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"WeightFile({str(self.path)!r}, {len(self)} arrays)"


def open_weights(source: Path | str) -> WeightFile:
    """Opens a file of weights: of torch, Detectron2, Detectron, Keras, or .safetensors; no code in it is ever run.

    The format is recognised by the content, whatever the file is called. Arrays come in the names, layouts and types of
    the file (bfloat16 as `ml_dtypes.bfloat16`), bit by bit. Of checkpoints only the model's weights are given; see
    `find_state_dict`, and `read_keras` for the names of Keras.

    Args:
        source: the path of the file, or a name of the zoo, whose file is downloaded where it is missing. A pickle
            without torch (.pkl) is read into memory; of others only the arrays that are accessed.

    Raises:
        DownloadError: the file of a name cannot be downloaded.
        WeightFileError: the file is missing, damaged, of no known format, or rejected because it would run
            code; the message names the file and the remedy.
    """
    path = locate(Path(source))
    mapped = _map(path)
    size, start = len(mapped), mapped[:64]
    # Tested before pickles: the first byte, part of a length, may be that of a pickle, but then the ninth is not "{".
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return _open_safetensors(path)
    if start.startswith(b"PK\x03\x04"):
        return WeightFile(path, _weights(read_zip(path, mapped), path, size), {})
    if start.startswith(LEGACY_START):
        return WeightFile(path, _weights(read_legacy(path, mapped), path, size), {})
    if start.startswith(PICKLE_STARTS):
        return WeightFile(path, _weights(Unpickler(mapped, path).load(), path, size), {})
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return WeightFile(path, read_keras(path), {})
    raise WeightFileError(f"{path} is no file of weights: {_describe(start)}")


def _weights(loaded: Any, path: Path, file_size: int) -> dict[str, StoredArray]:
    """The arrays of the weights in a checkpoint.

    Raises:
        WeightFileError: there are none, one is described wrongly, or they are larger than the file.
    """
    found = find_state_dict(loaded, lambda value: isinstance(value, PickledArray), kind_of)
    if found is None:
        raise WeightFileError(
            f"{path} holds no weights: wanted a dict of arrays by name, by itself or under one of {list(CONTAINERS)}; "
            f"found {summary(loaded, kind_of)}. Save `model.state_dict()`"
        )
    if found.others:
        log.warning(
            "%s: the weights under %r are used; those under %s are not",
            path,
            found.path,
            ", ".join(map(repr, found.others)),
        )
    objects = {name: what for name, what in found.beside.items() if "." in what}
    if objects:
        named = listed([f"{name} ({what})" for name, what in objects.items()])
        log.warning("%s: entries of the weights that are objects, not arrays, are not read: %s", path, named)
    arrays = {name: _stored(array, f"{path}: {name}", file_size) for name, array in found.arrays.items()}
    claimed = sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays.values())
    if claimed > SHARED * file_size:
        raise WeightFileError(f"{path} describes arrays of {claimed:,} bytes in all, and has {file_size:,} bytes")
    return arrays


def _stored(array: PickledArray, name: str, file_size: int) -> StoredArray:
    try:
        view = array.view()
    except (TypeError, AttributeError) as error:
        raise WeightFileError(f"{name} is described wrongly or in part, the file is damaged") from error
    except (ValueError, OverflowError) as error:
        raise WeightFileError(f"{name} is described wrongly, the file is damaged: {error}") from error
    if math.prod(view.shape) * view.itemsize > file_size:
        raise WeightFileError(f"{name} of shape {view.shape} is larger than the whole file")
    return stored_view(view, array.verify)


def _map(path: Path) -> mmap.mmap:
    try:
        if not path.is_dir():
            require_regular(path)
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise WeightFileError(f"{path} is empty: download or copy it again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        near = difflib.get_close_matches(path.as_posix(), PUBLISHED, n=3, cutoff=0.7)
        other = f", or the published name {' or '.join(near)}" if near else ""
        raise WeightFileError(f"{path} does not exist; give the path of a file of weights{other}") from error
    except IsADirectoryError as error:
        raise WeightFileError(f"{path} is a folder; give the file of weights in it") from error
    except NotAFile as error:
        raise WeightFileError(str(error)) from error
    except OSError as error:
        raise WeightFileError(f"{path} cannot be opened: {error}") from error
    except ValueError as error:
        raise WeightFileError(f"{str(path)!r} is no name of a file: {error}") from error


def _open_safetensors(path: Path) -> WeightFile:
    try:
        file = safe_open(path, framework="numpy")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error
    unknown = sorted({found.get_dtype() for found in slices.values()} - SAFETENSORS_TYPES.keys())
    if unknown:
        raise WeightFileError(f"{path} has arrays of type {unknown}; save it with one of {list(SAFETENSORS_TYPES)}")
    arrays = {
        name: StoredArray(
            tuple(found.get_shape()), np.dtype(SAFETENSORS_TYPES[found.get_dtype()]), partial(file.get_tensor, name)
        )
        for name, found in slices.items()
    }
    return WeightFile(path, arrays, file.metadata() or {})


def _describe(start: bytes) -> str:
    """Describes a file of unknown format by its first bytes."""
    line = start.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n")[0].strip()
    if line.isascii() and line.decode("ascii").isprintable():
        page = " (a web page: the download failed)" if line.startswith(b"<") else ""
        return f"it is text{page} that begins with {line.decode()!r}; download it again"
    return (
        f"it begins with the bytes {start[:8].hex(' ')}; wanted a .pth or .pt of torch, a .pkl of Detectron2, "
        "an .h5 of Keras, or a .safetensors"
    )
