"""A state dict without torch: the file as our reader, the zip and the pickle say it is.

That torch reads it bit by bit is tested in `tests/parity`.
"""

import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.torch_writer import write_state_dict

ARRAYS = {
    "layer.0.weight": np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32),
    "ä.bias": np.float32([0.5, -np.inf, np.nan]),
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "big_endian": np.arange(4, dtype=">f4"),
    "counter": np.int64(2**40),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_state_dict(tmp_path / "weights.pth", {name: np.asarray(array) for name, array in ARRAYS.items()})
    return tmp_path / "weights.pth"


def test_what_is_written_is_read(path: Path):
    file = open_weights(path)
    assert list(file) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(file[name], array)
        assert file.shape(name) == np.shape(array) and file.dtype(name) == np.asarray(array).dtype.newbyteorder("=")


def test_arrays_lie_uncompressed_where_they_can_be_mapped(path: Path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("archive/byteorder") == b"little" and archive.read("archive/version") == b"3\n"
        for entry in archive.infolist():
            # A local header is 30 bytes, then come the name and the extra field.
            start = entry.header_offset + 30 + len(entry.filename) + len(entry.extra)
            assert start % 64 == 0 and entry.compress_type == zipfile.ZIP_STORED, entry.filename
        first = archive.getinfo("archive/data/0")
    start = first.header_offset + 30 + len(first.filename) + len(first.extra)
    np.testing.assert_array_equal(
        np.fromfile(path, "<f4", count=120, offset=start).reshape(3, 4, 5, 2), ARRAYS["layer.0.weight"]
    )


def test_the_pickle_names_nothing_but_tensors(path: Path):
    with zipfile.ZipFile(path) as archive:
        operations = list(pickletools.genops(archive.read("archive/data.pkl")))
    named = {argument for operation, argument, _ in operations if operation.name == "GLOBAL"}
    assert named == {
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
        "torch LongStorage",
        "collections OrderedDict",
    }
    assert {operation.name for operation, _, _ in operations} & {"INST", "OBJ", "NEWOBJ", "BUILD"} == set()


def test_other_types_are_no_weights(tmp_path: Path):
    with pytest.raises(KeyError, match="float64"):
        write_state_dict(tmp_path / "weights.pth", {"a": np.zeros(3)})
