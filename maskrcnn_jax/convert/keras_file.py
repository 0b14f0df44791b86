"""HDF5 files of Keras."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np

from maskrcnn_jax.convert.stored import StoredArray, WeightFileError, damaged

WHOLE_MODEL = "model_weights/"
"""Where `model.save` puts what `model.save_weights` puts at the root."""


def read_keras(path: Path) -> dict[str, StoredArray]:
    """The arrays of a file of `model.save_weights` or `model.save`, by "layer/weight", such as "conv1/kernel".

    Keras nests the weights of a layer in groups of its choice and ends their names in ":0" or not. A layer that is a
    model of its own gives the names of its inner layers: "rpn_conv_shared/kernel" for `rpn_model`.

    Raises:
        WeightFileError: the file is damaged, has two weights of one name, or points at data outside of it.
    """
    datasets: dict[str, h5py.Dataset] = {}
    try:
        # Links, which could lead to other files, are not followed.
        h5py.File(path, "r").visititems(lambda n, item: datasets.update({n: item} if hasattr(item, "dtype") else {}))
        arrays = {name: _stored(dataset, f"{path}: {name}") for name, dataset in datasets.items()}
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
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


def _stored(dataset: h5py.Dataset, name: str) -> StoredArray:
    if dataset.external or dataset.is_virtual:
        raise WeightFileError(f"{name} lies in another file: copy the weights into one file")
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise WeightFileError(f"{name} is of type {dataset.dtype} and shape {dataset.shape}, and weights are numbers")
    dtype = dataset.dtype.newbyteorder("=")
    return StoredArray(dataset.shape, dtype, partial(np.array, dataset, dtype=dtype))
