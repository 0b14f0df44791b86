"""Pickles read as data.

A pickle is a program for a small stack machine. Reading one is dangerous because the machine fetches any function of
any module by name and calls it. Here it cannot, by these steps:

- Every name goes through `find_class`, which imports nothing. It looks the name up in a table; what is not there is
  refused. The table holds only strings and the stand-ins of this package: no function or class of any other module.
- The instructions that call (REDUCE, INST, OBJ, NEWOBJ, NEWOBJ_EX) therefore only ever meet stand-ins, whose
  constructors keep their arguments or drop them. Strings, numbers and containers cannot be called, and no instruction
  fetches an attribute that could be.
- BUILD calls `__setstate__` where there is one and otherwise sets attributes as the file says. Every stand-in has one,
  so no attribute is set, neither on an object nor (as `__setstate__` of a class wants two arguments) on a class.
- The registry of `copyreg`, a second way to names, is closed.
- The instructions run in Python, not in the C version: that one sizes its table of remembered objects by a number in
  the file, so that ten bytes take all memory. Here no object outgrows the bytes that it is read from.

A hostile file can still waste time and memory, by nesting and repetition; it cannot do anything.
"""

import pickle
import reprlib
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from mmap import mmap
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from maskrcnn_jax.convert.stored import WeightFileError, damaged

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""NumPy's codes of the types that an array of weights may have."""


class StandIn:
    """Takes the place of a class or function: accepts every argument and state, and keeps none.

    What the file gives to the stand-ins below is declared as `Any`, for it may be anything.
    """

    __slots__ = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class PickledArray(StandIn):
    """A stand-in that can show an array."""

    __slots__ = ()

    def view(self) -> np.ndarray:
        """The array, read-only and not copied.

        Raises:
            ValueError, TypeError or AttributeError: the file describes it wrongly or in part.
        """
        raise NotImplementedError


class _Dict(StandIn, dict):
    """An OrderedDict, Counter or defaultdict: a dict whose entries may come as an argument."""

    __slots__ = ()

    def __init__(self, *arguments: Any) -> None:
        for argument in arguments:
            if isinstance(argument, list | dict):
                self.update(argument)


class _Bytes(StandIn):
    """`bytes()`, the empty bytes of protocol 2."""

    def __new__(cls) -> Any:
        return b""


class _Encoded(StandIn):
    """`_codecs.encode(text, "latin1")`: how protocol 2 writes bytes."""

    def __new__(cls, text: Any, encoding: Any) -> Any:
        if encoding != "latin1":
            raise WeightFileError("it holds bytes in an unknown encoding")
        return str.encode(text, "latin1")


class _DType(StandIn):
    """`numpy.dtype`: a code such as "f4", then a state that has the byte order in second place."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _NumpyArray(PickledArray):
    """`numpy.core.multiarray._reconstruct`: an empty array that gets everything by its state."""

    __slots__ = ("_view",)

    def __setstate__(self, state: Any) -> None:
        *_, shape, dtype, is_fortran, raw = state
        # Bytes that Python 2 wrote arrive as text.
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        self._view = _array(raw, dtype, shape, "F" if is_fortran else "C")

    def view(self) -> np.ndarray:
        return self._view


class _NumpyBuffer(PickledArray):
    """`numpy.core.numeric._frombuffer`: an array as protocol 5 writes it."""

    __slots__ = ("_view",)

    def __init__(self, raw: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> None:
        # Of transposed arrays the bytes come in the order of memory, and `axes` brings them back.
        array = _array(raw, dtype, shape, "C" if order == "K" else order)
        self._view = array if axes is None else array.transpose(axes)

    def view(self) -> np.ndarray:
        return self._view


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    code = dtype.code if isinstance(dtype, _DType) else dtype
    if code not in NUMBERS:
        raise WeightFileError(f"it holds an array of type {reprlib.repr(code)}, and weights are numbers")
    return np.frombuffer(raw, np.dtype(code).newbyteorder(dtype.order)).reshape(shape, order=order)


def _under(modules: str, names: str, stand_in: type | str | None = None) -> dict[str, type | str]:
    """Table entries for every name in every module; a name without a stand-in becomes a string."""
    pairs = [f"{module}.{name}" for module in modules.split() for name in names.split()]
    return {name: name if stand_in is None else stand_in for name in pairs}


NAMES: Mapping[str, type | str] = {
    **_under("collections", "OrderedDict Counter defaultdict", _Dict),
    **_under("builtins __builtin__", "bytes", _Bytes),
    **_under("_codecs", "encode", _Encoded),
    **_under("numpy.core.multiarray numpy._core.multiarray", "_reconstruct", _NumpyArray),
    **_under("numpy.core.numeric numpy._core.numeric", "_frombuffer", _NumpyBuffer),
    **_under("numpy", "dtype", _DType),
    **_under("numpy", "ndarray"),
    # What training programs keep beside the weights: options, paths, counters.
    **_under("numpy.core.multiarray numpy._core.multiarray", "scalar", StandIn),
    **_under("builtins __builtin__", "set frozenset list dict tuple int float complex bool str bytearray", StandIn),
    **_under("builtins __builtin__", "object slice range", StandIn),
    **_under("argparse", "Namespace", StandIn),
    **_under("pathlib pathlib._local", "Path PosixPath WindowsPath PurePosixPath PureWindowsPath", StandIn),
    **_under("datetime", "date datetime timedelta", StandIn),
}
"""What a file may name, by module and name: a stand-in, or a string where only the name counts."""


class _Source:
    """A file whose lines are whole: a name that is cut off would read as another one."""

    def __init__(self, file: BytesIO | mmap) -> None:
        self.read = file.read
        self._readline = file.readline

    def readline(self) -> bytes:
        line = self._readline()
        if not line.endswith(b"\n"):
            raise EOFError("the file ends in the middle of a name")
        return line


class Unpickler(pickle._Unpickler):
    """Reads one pickle as data; see the module's description.

    Args:
        file: where the pickle begins; left where it ends.
        path: the name of the file, for messages.
        names: what the pickle may name.
    """

    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def __init__(self, file: BytesIO | mmap, path: Path, names: Mapping[str, type | str] = NAMES) -> None:
        super().__init__(_Source(file), encoding="latin1")
        self._path = path
        self._names = names

    def load(self) -> Any:
        """The object: dicts, lists, tuples, numbers, strings, and stand-ins.

        Raises:
            WeightFileError: the pickle is cut off or damaged, names what it may not, or holds arrays of objects.
        """
        try:
            return super().load()
        except WeightFileError as error:
            raise WeightFileError(f"{self._path} is refused: {error}") from error
        except Exception as error:
            raise damaged(self._path, f"{type(error).__name__}: {error}") from error

    def _load_bytearray(self) -> None:
        # As bytes: an array would be filled with zeros, as many as the file says, before its bytes are read.
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))

    dispatch: ClassVar[dict] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _load_bytearray}

    def find_class(self, module: str, name: str) -> type | str:
        known = self._names.get(f"{module}.{name}")
        if known is None:
            raise WeightFileError(
                f"it asks for {f'{module}.{name}'!r:.200}, which could run code, and no file of weights needs it. If "
                "you trust the file, load it in the program that wrote it and save the bare `model.state_dict()`, or "
                "write a .safetensors file"
            )
        return known

    def get_extension(self, code: int) -> None:
        raise WeightFileError(f"it asks for extension {code} of the module copyreg, which no file of weights needs")
