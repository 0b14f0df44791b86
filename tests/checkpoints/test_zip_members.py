"""Members of a ZIP file lie where its directory says, and their bytes are those that were written."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pickle_writer import Storage, tensor, torch_zip

from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError

SIX = {"0": np.arange(6, dtype="f4")}


def plain(key="0"):
    return tensor(Storage("torch.FloatStorage", key, 6), 0, (2, 3), (3, 1))


def test_the_checksum_of_a_tensor_is_compared_when_it_is_read(tmp_path: Path):
    path = torch_zip(tmp_path / "w.pth", {"w": plain(), "v": plain("1")}, {"0": SIX["0"].tobytes(), "1": bytes(24)})
    data = bytearray(path.read_bytes())
    data[data.index(SIX["0"].tobytes()) + 5] ^= 1
    path.write_bytes(data)
    weights = open_weights(path)
    assert (weights["v"] == 0).all()
    with pytest.raises(WeightFileError, match=r"w\.pth .*damaged.*checksum of 'archive/data/0' does not match"):
        weights["w"]


def test_the_checksum_of_the_pickle_is_compared(tmp_path: Path):
    path = torch_zip(tmp_path / "w.pth", {"weight": plain()}, {"0": SIX["0"].tobytes()})
    path.write_bytes(path.read_bytes().replace(b"weight", b"weigth"))
    with pytest.raises(WeightFileError, match=r"checksum of 'archive/data\.pkl' does not match"):
        open_weights(path)


def test_files_without_checksums_are_read(tmp_path: Path):
    """As torch writes them after `set_crc32_options(False)`: with zeros in their place, in both directories."""
    path = torch_zip(tmp_path / "w.pth", {"w": plain()}, {"0": SIX["0"].tobytes()})
    data = bytearray(path.read_bytes())
    for start, place in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        at = data.find(start)
        while at >= 0:
            data[at + place : at + place + 4] = bytes(4)
            at = data.find(start, at + 4)
    path.write_bytes(data)
    np.testing.assert_array_equal(open_weights(path)["w"], SIX["0"].reshape(2, 3))


def test_members_that_reach_beyond_the_end_are_refused(tmp_path: Path):
    """The size of a member in the directory at the end of the file, made larger."""
    path = torch_zip(tmp_path / "w.pth", {"w": plain()}, {"0": SIX["0"].tobytes()})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = struct.pack("<2I", 10**6, 10**6)
    path.write_bytes(data)
    with pytest.raises(WeightFileError, match=r"'archive/data/0' reaches beyond the end"):
        open_weights(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (42, struct.pack("<I", 7), "is not where the directory"),
        (42, struct.pack("<I", 2**31), "damaged"),
        (20, struct.pack("<I", 3), "is not where the directory"),
    ],
    ids=["offset", "far offset", "compressed size"],
)
def test_a_wrong_directory_is_named(tmp_path: Path, field: int, value: bytes, message: str):
    path = torch_zip(tmp_path / "w.pth", {"w": plain()}, {"0": SIX["0"].tobytes()})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02") + field
    data[entry : entry + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(WeightFileError, match=message):
        open_weights(path)
