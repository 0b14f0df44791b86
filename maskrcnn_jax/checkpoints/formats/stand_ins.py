"""Stand-ins for the classes and functions that a pickle names: objects that hold data, or nothing."""

import pickle
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from maskrcnn_jax.checkpoints.formats.stored import WeightFileError

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""NumPy's codes of the types that an array of weights may have."""


class StandIn:
    """Replaces a class or function: accepts every argument and state, and keeps none.

    Arguments from the file are declared as `Any`, as they may be of any type.
    """

    __slots__ = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class PickledArray(StandIn):
    """A stand-in that holds an array."""

    __slots__ = ()

    def view(self) -> np.ndarray:
        """The array, read-only and not copied.

        Raises:
            ValueError, TypeError or AttributeError: the file describes it wrongly or in part.
        """
        raise NotImplementedError

    def verify(self) -> None:
        """Compares the bytes of the array with their checksum, if the file has one.

        Raises:
            WeightFileError: they differ.
        """


class Unknown(StandIn):
    """A class or function that is not in the table, and every object that is made with it: a name, and nothing else."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: Any, **__: Any) -> "Unknown":
        return Unknown(self.name)

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Drops an item."""

    add = append


class _Dict(StandIn, dict):
    """An OrderedDict, Counter or defaultdict: a dict whose entries may come as an argument."""

    __slots__ = ()

    def __init__(self, *arguments: Any) -> None:
        for argument in arguments:
            if isinstance(argument, dict):
                self.update(argument)
            elif isinstance(argument, list):
                self.update((as_key(key), value) for key, value in argument)


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
    """`numpy.dtype`: a code such as "f4", then a state whose second entry is the byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _NumpyArray(PickledArray):
    """`numpy.core.multiarray._reconstruct`: an empty array that is filled by its state."""

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
    if not isinstance(shape, tuple) or not all(type(side) is int and 0 <= side < 2**48 for side in shape):
        raise pickle.UnpicklingError(f"it describes an array of shape {reprlib.repr(shape)}")
    return np.frombuffer(raw, np.dtype(code).newbyteorder(dtype.order)).reshape(shape, order=order)


def as_key(key: Any) -> Any:
    """A key of a dict; a fresh object in place of one that may take long to hash, which no name of an array is."""
    is_short = isinstance(key, tuple) and len(key) <= 16 and not any(isinstance(part, tuple) for part in key)
    is_number = isinstance(key, int) and key.bit_length() <= 64
    if is_short or is_number or isinstance(key, str | bytes | float | StandIn | None):
        return key
    return Unknown("a key")


def kind_of(value: Any) -> str:
    """The name of the class of an object in a pickle."""
    return value.name if isinstance(value, Unknown) else type(value).__name__


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
    # Objects that training programs save beside the weights: options, paths, counters.
    **_under("copyreg copy_reg", "_reconstructor", StandIn),
    **_under("collections", "deque", StandIn),
    **_under("functools", "partial", StandIn),
    **_under("types", "SimpleNamespace", StandIn),
    **_under("decimal", "Decimal", StandIn),
    **_under("uuid", "UUID", StandIn),
    **_under("numpy.core.multiarray numpy._core.multiarray", "scalar", StandIn),
    **_under("builtins __builtin__", "set frozenset list dict tuple int float complex bool str bytearray", StandIn),
    **_under("builtins __builtin__", "object slice range", StandIn),
    **_under("argparse", "Namespace", StandIn),
    **_under("pathlib pathlib._local", "Path PosixPath WindowsPath PurePosixPath PureWindowsPath", StandIn),
    **_under("datetime", "date datetime timedelta", StandIn),
}
"""Names that a file may use, "module.name": a stand-in, or a string where only the name matters."""
