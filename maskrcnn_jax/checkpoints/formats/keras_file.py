"""HDF5 files of Keras."""

import math
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from maskrcnn_jax.checkpoints.formats.stored import StoredArray, WeightFileError, damaged

WHOLE_MODEL = "model_weights/"
"""The group of the weights in files of `model.save`; `model.save_weights` writes them to the root."""

FILTERS = {1, 2, 3, 4, 5, 6, h5py.h5z.FILTER_LZF}
"""Filters that HDF5 and h5py have built in, from deflate to scale-offset; others would be loaded from disk."""

DEFLATED = 1100
"""The largest compression ratio of deflate."""

ALWAYS = 2**20
"""Bytes that an array may always have, even if few of them are stored."""

ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""Errors that h5py raises on damaged files."""


def read_keras(path: Path) -> dict[str, StoredArray]:
    """The arrays of a file of `model.save_weights` or `model.save`, by "layer/weight", such as "conv1/kernel".

    Keras nests the weights of a layer in groups, and their names may end in ":0". A layer that is a model itself has
    the names of its inner layers: "rpn_conv_shared/kernel" for `rpn_model`.

    Raises:
        WeightFileError: the file is damaged, has two weights of one name, refers to data outside of it, or describes
            larger arrays than it can hold.
    """
    datasets: dict[str, h5py.Dataset] = {}
    size = path.stat().st_size
    try:
        # Links, which could lead to other files or form cycles, are not followed.
        h5py.File(path, "r").visititems(
            lambda name, item: datasets.update({name: item} if isinstance(item, h5py.Dataset) else {})
        )
        arrays = {name: _stored(dataset, f"{path}: {name}", size) for name, dataset in datasets.items()}
    except WeightFileError:
        raise
    except ERRORS as error:
        raise damaged(path, error) from error
    if not all(isinstance(name, str) for name in arrays):
        raise damaged(path, "a name in it is no text in UTF-8")
    if any(name.startswith(WHOLE_MODEL) for name in arrays):
        arrays = {n.removeprefix(WHOLE_MODEL): array for n, array in arrays.items() if n.startswith(WHOLE_MODEL)}
    names = _short_names(list(arrays))
    if not names:
        raise WeightFileError(f"{path} is an HDF5 file without weights: write it with Keras' model.save_weights")
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice:
        raise WeightFileError(f"{path} has several weights of one name: {twice}; give each layer a name of its own")
    return {short: arrays[name] for name, short in names.items()}


def _short_names(names: list[str]) -> dict[str, str]:
    """The name "layer/weight" for each path "layer/…/weight" in the file."""
    folders: dict[str, set[str]] = {}
    for name in names:
        folders.setdefault(name.split("/")[0], set()).add(name.rpartition("/")[0])
    short = {}
    for name in names:
        layer, *inner, weight = name.split("/")
        # Several folders are several layers, one is the layer itself: Keras may have called it "conv1_1" inside.
        owner = inner[-1] if inner and len(folders[layer]) > 1 else layer
        short[name] = f"{owner}/{weight.removesuffix(':0')}"
    return short


def _stored(dataset: h5py.Dataset, name: str, file_size: int) -> StoredArray:
    if dataset.external or dataset.is_virtual:
        raise WeightFileError(f"{name} lies in another file: copy the weights into one file")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
    if not filters <= FILTERS:
        raise WeightFileError(
            f"{name} is compressed by filters {sorted(filters - FILTERS)}: write it with gzip, or none"
        )
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise WeightFileError(f"{name} is of type {dataset.dtype} and shape {dataset.shape}, and weights are numbers")
    stored = min(dataset.id.get_storage_size(), file_size)
    # A chunk is read into memory as a whole.
    claimed = max(math.prod(dataset.shape), math.prod(dataset.chunks or ())) * dataset.dtype.itemsize
    if claimed > max(DEFLATED * stored, ALWAYS):
        raise WeightFileError(
            f"{name} of shape {dataset.shape} takes {claimed:,} bytes, and the file holds {stored:,} of it"
        )
    dtype = dataset.dtype.newbyteorder("=")
    return StoredArray(dataset.shape, dtype, partial(_read, dataset, dtype, name))


def _read(dataset: h5py.Dataset, dtype: np.dtype, name: str) -> np.ndarray:
    try:
        return np.array(dataset, dtype=dtype)
    except ERRORS as error:
        raise WeightFileError(f"{name} of shape {dataset.shape} cannot be read: {error}") from error
