"""Writes a dict of arrays as `torch.save` would, without torch: a zip of one small pickle and the bytes of each array.

The pickle is spelled out opcode by opcode, because the two functions that it names are torch's own.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

STORAGES = {np.dtype(np.float32): "FloatStorage", np.dtype(np.int64): "LongStorage"}
ALIGNMENT = 64
"""Bytes; the alignment that `torch.load(mmap=True)` expects."""
LOCAL_HEADER = 30
"""Bytes before the name of a file in a zip."""


def write_state_dict(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict that `torch.load(path, weights_only=True)` reads.

    Args:
        path: the file, `.pth` by custom.
        arrays: float32 or int64, by name; they are written one at a time.
    """
    with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        records = {"data.pkl": _pickle(arrays), "byteorder": b"little", "version": b"3\n"}
        for name, content in records.items():
            _add(archive, file.tell(), name, content)
        for key, array in enumerate(arrays.values()):
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            _add(archive, file.tell(), f"data/{key}", little.tobytes())


def _add(archive: zipfile.ZipFile, position: int, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(f"archive/{name}")
    # An extra field, four bytes and as many more as it takes for the content to begin at a multiple of ALIGNMENT.
    padding = -(position + LOCAL_HEADER + len(entry.filename) + 4) % ALIGNMENT
    entry.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(entry, content)


def _pickle(arrays: Mapping[str, np.ndarray]) -> bytes:
    """`{name: torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)}`."""
    items = [_text(name) + _tensor(key, array) for key, (name, array) in enumerate(arrays.items())]
    return b"".join([pickle.PROTO, b"\x02", pickle.EMPTY_DICT, pickle.MARK, *items, pickle.SETITEMS, pickle.STOP])


def _tensor(key: int, array: np.ndarray) -> bytes:
    storage = _tuple(
        _text("storage"),
        _global("torch", STORAGES[array.dtype.newbyteorder("=")]),
        _text(str(key)),
        _text("cpu"),
        _int(array.size),
    )
    strides = [stride // array.itemsize for stride in np.empty(array.shape, array.dtype).strides]
    hooks = _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = _tuple(
        storage + pickle.BINPERSID,
        _int(0),
        _tuple(*map(_int, array.shape)),
        _tuple(*map(_int, strides)),
        pickle.NEWFALSE,
        hooks,
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _text(value: str) -> bytes:
    encoded = value.encode()
    return pickle.BINUNICODE + len(encoded).to_bytes(4, "little") + encoded


def _int(value: int) -> bytes:
    return pickle.BININT + value.to_bytes(4, "little", signed=True)


def _tuple(*items: bytes) -> bytes:
    return b"".join([pickle.MARK, *items, pickle.TUPLE])


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()
