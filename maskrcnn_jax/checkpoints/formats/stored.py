"""The result of every format's reader: arrays with shape and type that are read on access."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class WeightFileError(ValueError):
    """A file that is missing, damaged, of an unknown format, or not safe; the message names it and the remedy."""


def damaged(path: Path, cause: object) -> WeightFileError:
    """The error of a file whose content does not match its format."""
    return WeightFileError(f"{path} is cut off or damaged: download or copy it again. Cause: {cause}")


class StoredArray(NamedTuple):
    """An array in a file."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    """Returns a new C-contiguous array in the byte order of this machine."""


def stored_view(view: np.ndarray, verify: Callable[[], None] = lambda: None) -> StoredArray:
    """The array behind a view of a mapped file or of bytes in memory; it is copied when it is read.

    Args:
        view: the array.
        verify: called before the array is copied; raises WeightFileError if its bytes are not those written.
    """
    dtype = view.dtype.newbyteorder("=")

    def read() -> np.ndarray:
        verify()
        return np.array(view, dtype=dtype, order="C")

    return StoredArray(view.shape, dtype, read)


class ArrayMapping(Mapping[str, Any]):
    """Arrays by name whose shapes are known without reading them."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""


def shape_of(arrays: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """The shape of an array in a mapping, without reading it if the mapping is an `ArrayMapping`."""
    return arrays.shape(name) if isinstance(arrays, ArrayMapping) else tuple(np.shape(arrays[name]))
