"""What every reader of a file format gives: arrays that are described at once and read when asked for."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class WeightFileError(ValueError):
    """A file that is missing, damaged, of an unknown format, or not safe; the message names it and the remedy."""


def damaged(path: Path, cause: object) -> WeightFileError:
    """The error of a file that is not what its beginning says."""
    return WeightFileError(f"{path} is cut off or damaged: download or copy it again. Cause: {cause}")


class StoredArray(NamedTuple):
    """An array in a file."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    """Gives a new C-contiguous array in the byte order of this machine."""


def stored_view(view: np.ndarray, verify: Callable[[], None] = lambda: None) -> StoredArray:
    """The array that a view of a mapped file, or of bytes in memory, shows; nothing is copied before it is read.

    Args:
        view: the array.
        verify: is called before the array is copied, and raises WeightFileError if its bytes are not those written.
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
    """The shape of an array in a mapping, without reading it where the mapping knows."""
    return arrays.shape(name) if isinstance(arrays, ArrayMapping) else tuple(np.shape(arrays[name]))
