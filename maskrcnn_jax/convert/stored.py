"""What every reader of a file format gives: arrays that are described at once and read when asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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


def stored_view(view: np.ndarray) -> StoredArray:
    """The array that a view of a mapped file, or of bytes in memory, shows; nothing is copied before it is read."""
    dtype = view.dtype.newbyteorder("=")
    return StoredArray(view.shape, dtype, lambda: np.array(view, dtype=dtype, order="C"))
