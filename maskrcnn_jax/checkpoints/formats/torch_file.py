"""Files of `torch.save`, read without torch.

Both formats hold a pickle, whose tensors refer to a storage with an offset and strides, and the storages as raw bytes.
The file is mapped into memory, and a tensor is copied out of it when it is read.
"""

import io
import math
import mmap
import reprlib
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from maskrcnn_jax.checkpoints.formats.stand_ins import NAMES, PickledArray, StandIn, Unknown
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError, damaged
from maskrcnn_jax.checkpoints.formats.unpickle import Unpickler
from maskrcnn_jax.checkpoints.formats.zip_members import zip_members

LEGACY_START = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""First bytes of a file of torch before 1.6: its magic number as a pickle."""

TYPES: Mapping[str, tuple[str | None, Any]] = {
    "float64": ("DoubleStorage", "<f8"),
    "float32": ("FloatStorage", "<f4"),
    "float16": ("HalfStorage", "<f2"),
    "bfloat16": ("BFloat16Storage", ml_dtypes.bfloat16),
    "int64": ("LongStorage", "<i8"),
    "int32": ("IntStorage", "<i4"),
    "int16": ("ShortStorage", "<i2"),
    "int8": ("CharStorage", "i1"),
    "uint8": ("ByteStorage", "u1"),
    "bool": ("BoolStorage", "?"),
    "uint16": (None, "<u2"),
    "uint32": (None, "<u4"),
    "uint64": (None, "<u8"),
}
"""torch's name of a type, its kind of storage if it has one of its own, and NumPy's type."""

DTYPES = {f"torch.{name}": np.dtype(code) for name, (_, code) in TYPES.items()}
STORAGES = {"torch.storage.UntypedStorage": np.dtype("u1")} | {
    f"{module}.{storage}": np.dtype(code)
    for storage, code in TYPES.values()
    if storage
    for module in ("torch", "torch.cuda")
}


class _Storage(StandIn):
    """A run of bytes in the file: known at once in a zip file, and at the end of a legacy file."""

    __slots__ = ("data", "dtype", "first", "key", "size", "verify")

    def __init__(self, kind: Any, key: Any, size: Any, first: Any) -> None:
        if not isinstance(kind, str) or kind not in STORAGES or not isinstance(key, str) or not _are_sizes(size, first):
            raise WeightFileError(f"it describes a storage as {_short((kind, key, size, first))}")
        self.key, self.dtype = key, STORAGES[kind]
        self.first, self.size = first * self.dtype.itemsize, size * self.dtype.itemsize

    def find(self, data: memoryview, verify: Callable[[], None] = lambda: None) -> None:
        """Sets the bytes, given those of the whole storage, and the function that verifies their checksum."""
        end = self.first + self.size
        if end > len(data):
            raise WeightFileError(
                f"storage {self.key!r:.200} is described with {end} bytes, and the file holds {len(data)}"
            )
        self.data, self.verify = data[self.first : end], verify


class _Tensor(PickledArray):
    """`torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`."""

    __slots__ = ("_offset", "_shape", "_storage", "_strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> None:
        described = isinstance(shape, tuple) and isinstance(strides, tuple)
        if not isinstance(storage, _Storage) or not described or not _are_sizes(offset, *shape, *strides):
            raise WeightFileError("it describes a tensor without storage or sizes")
        self._storage, self._offset, self._shape, self._strides = storage, offset, shape, strides

    def view(self) -> np.ndarray:
        return self._as(self._storage.dtype)

    def verify(self) -> None:
        self._storage.verify()

    def _as(self, dtype: np.dtype) -> np.ndarray:
        size, available = dtype.itemsize, len(self._storage.data)
        if len(self._shape) != len(self._strides):
            raise ValueError(f"{len(self._shape)} dimensions and {len(self._strides)} strides")
        # A stride along a dimension of one element is unused.
        strides = [stride * (count > 1) for count, stride in zip(self._shape, self._strides, strict=True)]
        # In Python's integers: NumPy checks neither empty storages nor overflow of 64 bits.
        last = self._offset + sum((count - 1) * stride for count, stride in zip(self._shape, strides, strict=True))
        count = math.prod(self._shape)
        if count * size >= 2**62 or max(self._shape, default=0) >= 2**48:
            raise ValueError("its shape is larger than any memory")
        if count == 0:
            return np.empty(self._shape, dtype)
        if (last + 1) * size > available:
            raise ValueError(f"element {last} of {size} bytes is outside its storage of {available} bytes")
        return np.ndarray(self._shape, dtype, self._storage.data, size * self._offset, [size * s for s in strides])


class _TypedTensor(_Tensor):
    """`torch._utils._rebuild_tensor_v3`: a tensor with its own type, as its storage has none."""

    __slots__ = ("_dtype",)

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> None:
        super().__init__(storage, offset, shape, strides)
        _, _, dtype, *_ = rest  # requires_grad, hooks, dtype, metadata
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise WeightFileError(f"it describes a tensor of type {_short(dtype)}")
        self._dtype = DTYPES[dtype]

    def view(self) -> np.ndarray:
        return self._as(self._dtype)


class _Parameter(StandIn):
    """`torch._utils._rebuild_parameter`: the tensor inside."""

    __slots__ = ()

    def __new__(cls, tensor: Any, *_: Any) -> Any:
        return tensor


def _are_sizes(*values: Any) -> bool:
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def _short(value: Any) -> str:
    """Describes a value in a few words; numbers of many digits do not become text."""
    if isinstance(value, tuple):
        return f"({', '.join(_short(part) for part in value if not isinstance(part, tuple))})"
    if isinstance(value, Unknown):
        return repr(value.name)
    return reprlib.repr(value) if isinstance(value, str) or _are_sizes(value) else f"a {type(value).__name__}"


TORCH_NAMES: Mapping[str, type | str] = {
    **NAMES,
    **{name: name for name in (*DTYPES, *STORAGES)},
    "torch._utils._rebuild_tensor": _Tensor,
    "torch._utils._rebuild_tensor_v2": _Tensor,
    "torch._utils._rebuild_tensor_v3": _TypedTensor,
    "torch._utils._rebuild_parameter": _Parameter,
    "torch._utils._rebuild_parameter_with_state": _Parameter,
    "torch.Size": StandIn,
    "torch.device": StandIn,
}


class _TorchUnpickler(Unpickler):
    """Reads a pickle whose storages are elsewhere in the file."""

    def __init__(self, file: Any, path: Path, found: Callable[[_Storage], None]) -> None:
        super().__init__(file, path, TORCH_NAMES)
        self._found = found

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            what = pid[0] if isinstance(pid, tuple) and pid else pid
            raise WeightFileError(f"it refers to {_short(what)}, not to a storage")
        _, kind, key, _, size, *view = pid
        _, first, size = view[0] if view and view[0] else (None, 0, size)
        storage = _Storage(kind, key, size, first)
        self._found(storage)
        return storage


def read_zip(path: Path, mapped: mmap.mmap) -> Any:
    """The object in a file of torch 1.6 or later.

    Raises:
        WeightFileError: it is another zip file, compressed, damaged, or its pickle is rejected.
    """
    members = zip_members(path, memoryview(mapped))
    pickles = [name for name in members if name.count("/") <= 1 and name.split("/")[-1] == "data.pkl"]
    if not pickles:
        raise WeightFileError(f"{path} is a zip file without data.pkl, so not one of torch: give the file inside it")
    folder = pickles[0].removesuffix("data.pkl")
    byteorder, program = members.get(f"{folder}byteorder"), members[pickles[0]]
    if byteorder and bytes(byteorder.data) != b"little":
        raise WeightFileError(f"{path} was written on a big-endian machine: save it again on another")
    program.verify()

    def found(storage: _Storage) -> None:
        name = f"{folder}data/{storage.key}"
        if name not in members:
            raise WeightFileError(f"its zip file has no {name!r:.200}")
        storage.find(members[name].data, members[name].verify)

    return _TorchUnpickler(io.BytesIO(program.data), path, found).load()


def read_legacy(path: Path, mapped: mmap.mmap) -> Any:
    """The object in a file of torch before 1.6: five pickles, then the storages, each after its number of elements.

    Raises:
        WeightFileError: the file is damaged or its pickle is rejected.
    """
    mapped.seek(0)
    *_, system = (Unpickler(mapped, path).load() for _ in ("magic number", "version", "system"))
    if not isinstance(system, dict) or type(system.get("little_endian")) is not bool:
        raise damaged(path, "its third pickle does not say in which byte order it was written")
    if not system["little_endian"]:
        raise WeightFileError(f"{path} was written on a big-endian machine: save it again on another")
    storages: list[_Storage] = []
    loaded = _TorchUnpickler(mapped, path, storages.append).load()
    keys = Unpickler(mapped, path).load()
    try:
        data = _runs(memoryview(mapped), mapped.tell(), keys, {s.key: s.dtype.itemsize for s in storages})
        for storage in storages:
            storage.find(data[storage.key])
    except (WeightFileError, struct.error, LookupError, TypeError) as error:
        raise damaged(path, error) from error
    return loaded


def _runs(whole: memoryview, start: int, keys: list[str], item_sizes: Mapping[str, int]) -> dict[str, memoryview]:
    """The bytes of each storage of a legacy file, by key, from where the first one starts."""
    runs = {}
    for key in keys:
        if not isinstance(key, str) or key not in item_sizes:
            raise WeightFileError(f"storage {_short(key)} belongs to no tensor, so its size is unknown")
        (count,) = struct.unpack_from("<q", whole, start)
        end = start + 8 + count * item_sizes[key]
        if not start + 8 <= end <= len(whole):
            raise WeightFileError(f"storage {key!r:.200} has {count} elements, and the file ends before them")
        runs[key] = whole[start + 8 : end]
        start = end
    return runs
