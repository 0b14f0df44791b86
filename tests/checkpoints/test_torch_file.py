"""Files of torch are read bit by bit, without torch, and without taking more memory than what is asked for."""

import io
import mmap
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from pickle_writer import Call, Instructions, Name, Storage, tensor, torch_legacy, torch_zip

from maskrcnn_jax.checkpoints.formats.files import _weights, open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.checkpoints.formats.torch_file import read_legacy, read_zip

DATA = Path(__file__).parent / "data"
FLOAT = "torch.FloatStorage"

GRID = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
EXPECTED = {
    "grid": GRID,
    "transposed": GRID.transpose(2, 0, 1),
    "middle": GRID[:, 1, ::2],
    "scalar": np.array(3.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "parameter": np.array([1, -2], np.float32),
    "expanded": np.full(5, 7, np.float32),
    "float64": np.array([1 / 3, -0.0]),
    "float16": np.array([1 / 3, 65504], np.float16),
    "bfloat16": np.array([1 / 3, 3e38], ml_dtypes.bfloat16),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "int16": np.array([-(2**15), 2**15 - 1], np.int16),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([0, 255], np.uint8),
    "bool": np.array([True, False]),
}
"""What data/make_torch_files.py lets torch write."""

WRITERS = {
    "zip": lambda path, obj, numbers: torch_zip(path, obj, {k: v.tobytes() for k, v in numbers.items()}),
    "legacy": lambda path, obj, numbers: torch_legacy(
        path, obj, {k: (v.size, v.tobytes()) for k, v in numbers.items()}
    ),
}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Writes an object and its storages, arrays by key, in one of the formats."""
    return lambda obj, arrays: WRITERS[request.param](tmp_path / "weights.pth", obj, arrays)


def plain(key="0", size=6, shape=(2, 3), strides=(3, 1), offset=0, kind=FLOAT):
    return tensor(Storage(kind, key, size), offset, shape, strides)


SIX = {"0": np.arange(6, dtype="f4")}


@pytest.mark.parametrize("file", ["tensors_zip.pth", "tensors_legacy.pth"])
@pytest.mark.parametrize("name", EXPECTED)
def test_tensors_that_torch_wrote_are_read_bit_by_bit(file: str, name: str):
    weights, expected = open_weights(DATA / file), EXPECTED[name]
    actual = weights[name]
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    assert (weights.shape(name), weights.dtype(name)) == (expected.shape, expected.dtype)
    assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("file", ["tensors_zip.pth", "tensors_legacy.pth"])
def test_order_of_the_names_is_kept(file: str):
    assert list(open_weights(DATA / file)) == list(EXPECTED)


def test_types_without_storages_of_their_own_are_read():
    np.testing.assert_array_equal(open_weights(DATA / "untyped_zip.pth")["uint16"], np.array([0, 65535], np.uint16))


def test_weights_of_a_training_checkpoint_are_read():
    """Filled with 1, 2, 3, 4 by data/make_torch_files.py; then one step of SGD, rate 0.1, gradient 1 everywhere."""
    weights = open_weights(DATA / "training_zip.pth")
    expected = {"0.weight": [[0.9, 0.9]], "0.bias": [1.9], "1.weight": [2.9], "1.bias": [3.9]}
    expected |= {"1.running_mean": [0.0], "1.running_var": [1.0], "1.num_batches_tracked": 0}
    expected = {f"module.{name}": values for name, values in expected.items()}
    assert weights.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(weights[name], np.array(values), rtol=1e-7)


@pytest.mark.parametrize("file", ["tensors_zip.pth", "tensors_legacy.pth"])
def test_arrays_are_new_each_time_though_storages_are_shared(file: str):
    weights = open_weights(DATA / file)
    first = weights["grid"]
    first[:] = -1
    assert weights["transposed"].flags.c_contiguous
    np.testing.assert_array_equal(weights["transposed"], EXPECTED["transposed"])
    np.testing.assert_array_equal(weights["grid"], GRID)


@pytest.mark.parametrize("module", ["torch", "torch.cuda"])
def test_what_was_saved_on_a_gpu_is_read(write, module: str):
    path = write({"w": plain(kind=f"{module}.FloatStorage")}, SIX)
    np.testing.assert_array_equal(open_weights(path)["w"], SIX["0"].reshape(2, 3))


def test_tensors_of_the_first_versions_are_read(write):
    rebuilt = Call(Name("torch._utils", "_rebuild_tensor"), (Storage(FLOAT, "0", 6), 1, (2, 2), (2, 1)))
    np.testing.assert_array_equal(open_weights(write({"w": rebuilt}, SIX))["w"], np.array([[1, 2], [3, 4]], "f4"))


def test_storages_that_are_parts_of_storages_are_read(tmp_path: Path):
    """Files of torch 0.x: a storage of 3 elements from the second one on, and a tensor from its second one on."""
    part = Storage(FLOAT, "0", 6, view=("1", 2, 3))
    path = torch_legacy(tmp_path / "w.pth", {"w": tensor(part, 1, (2,), (1,))}, {"0": (6, SIX["0"].tobytes())})
    np.testing.assert_array_equal(open_weights(path)["w"], np.array([3, 4], "f4"))
    beyond = tensor(part, 2, (2,), (1,))
    path = torch_legacy(tmp_path / "w.pth", {"w": beyond}, {"0": (6, SIX["0"].tobytes())})
    with pytest.raises(WeightFileError, match="w is described wrongly"):
        open_weights(path)


def test_zip_files_without_byte_order_are_read(tmp_path: Path):
    path = torch_zip(tmp_path / "w.pth", {"w": plain()}, {"0": SIX["0"].tobytes()}, byteorder=None)
    np.testing.assert_array_equal(open_weights(path)["w"], SIX["0"].reshape(2, 3))


# Memory.


def stored_arrays(path, read):
    """What `open_weights` makes its mapping from. The run-time checks of types would read a first array of that."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return _weights(read(path, mapped), path, len(mapped))


def peak_memory(action):
    """What an action gives, and the memory it took at most, mapped files aside."""
    tracemalloc.start()
    result = action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


def test_a_file_of_8_gigabytes_opens_in_little_memory(tmp_path: Path):
    """A hole in the middle of the file: reading it all would fill memory with zeros."""
    large, small = 2**31, 2**20  # elements: 8 GiB and 4 MiB
    obj = {"large": plain("0", large, (large,), (1,)), "small": plain("1", small, (1024, 1024), (1, 1024))}
    path = torch_legacy(tmp_path / "w.pth", obj, {"0": (large, b""), "1": (small, b"")})
    counts = path.read_bytes()[-16:]
    with path.open("r+b") as file:
        file.seek(-8, io.SEEK_END)
        file.seek(4 * large, io.SEEK_CUR)
        file.write(counts[8:] + np.arange(small, dtype="f4").tobytes())
    weights, peak = peak_memory(lambda: stored_arrays(path, read_legacy))
    assert peak < 2**20
    assert weights["large"].shape == (large,)
    array, peak = peak_memory(weights["small"].read)
    assert 4 * small <= peak < 1.1 * 4 * small  # copied once
    np.testing.assert_array_equal(array, np.arange(small, dtype="f4").reshape(1024, 1024).T)


def test_a_zip_file_opens_in_little_memory(tmp_path: Path):
    numbers = np.arange(2**22, dtype="f4")
    obj = {"w": plain(size=numbers.size, shape=numbers.shape, strides=(1,))}
    path = torch_zip(tmp_path / "w.pth", obj, {"0": numbers.tobytes()})
    weights, peak = peak_memory(lambda: stored_arrays(path, read_zip))
    assert peak < 2**20
    array, peak = peak_memory(weights["w"].read)
    assert numbers.nbytes <= peak < 1.1 * numbers.nbytes
    np.testing.assert_array_equal(array, numbers)


# Files that are refused.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (plain(offset=1), "w is described wrongly"),
        (plain(strides=(4, 1)), "w is described wrongly"),
        (plain(shape=(2**62,), strides=(1,)), "w is described wrongly"),
        (plain(shape=(2**70,), strides=(2**70,)), "without storage or sizes"),
        # NumPy takes these for good: an empty storage, and strides whose products overflow 64 bits.
        (plain(size=0, shape=(4,), strides=(1,)), "element 3 of 4 bytes is outside its storage of 0 bytes"),
        (plain(size=0, shape=(1,), strides=(1,)), "element 0 of 4 bytes is outside"),
        (plain(shape=(2, 3), strides=(2**62, 1)), "w is described wrongly"),
        (plain(shape=(5,), strides=(2**62,)), "w is described wrongly"),
        (plain(shape=(1,), strides=(1,), offset=2**62), "w is described wrongly"),
        (plain(shape=(0, 2**60), strides=(1, 1)), "larger than any memory"),
        (plain(shape=(2, 3, 1), strides=(3, 1)), "w is described wrongly"),
        (plain(shape=(2**40,), strides=(0,)), "larger than the whole file"),
        (plain(strides=(3, -1)), "without storage or sizes"),
        (plain(offset=-1), "without storage or sizes"),
        (plain(shape=(2.0, 3)), "without storage or sizes"),
        (tensor("storage", 0, (1,), (1,)), "without storage or sizes"),
        (plain(size=-1), "describes a storage"),
        (plain(kind="torch.Size"), "describes a storage"),
        (tensor(Storage(FLOAT, 0, 6), 0, (1,), (1,)), "describes a storage"),
        (plain(kind="torch.QInt8Storage"), r"'torch\.QInt8Storage'"),
    ],
)
def test_wrong_descriptions_are_refused(write, wrong: Call, message: str):
    with pytest.raises(WeightFileError, match=message) as refused:
        open_weights(write({"w": wrong}, SIX))
    assert "weights.pth" in str(refused.value)


def test_storages_larger_than_the_file_are_refused(write):
    with pytest.raises(WeightFileError, match=r"weights\.pth.*storage '0' is described with 28 bytes"):
        open_weights(write({"w": plain(size=7)}, SIX))


def test_missing_storages_are_refused(write):
    with pytest.raises(WeightFileError, match=r"weights\.pth"):
        open_weights(write({"w": plain(key="1")}, SIX))


def test_a_storage_with_a_wrong_count_is_refused(tmp_path: Path):
    for count in (-1, 7, 2**61, 2**63 - 1):
        path = torch_legacy(tmp_path / "w.pth", {"w": plain()}, {"0": (count, SIX["0"].tobytes())})
        with pytest.raises(WeightFileError, match="cut off or damaged"):
            open_weights(path)
    empty = plain(size=0, shape=(0,), strides=(1,))
    with pytest.raises(WeightFileError, match="storage '0' has -1 elements"):
        open_weights(torch_legacy(tmp_path / "w.pth", {"w": empty}, {"0": (-1, b"")}))


def test_what_is_no_storage_is_refused(write):
    for pid, what in (
        (("modules", 1, 2, 3, 4), "'modules'"),
        (("storage", 1), "'storage'"),
        ((), r"\(\)"),
        (7, "7"),
    ):
        path = write({"w": [pid, Instructions(pickle.BINPERSID)]}, SIX)
        with pytest.raises(WeightFileError, match=rf"weights\.pth.*refers to {what}, not to a storage"):
            open_weights(path)


@pytest.mark.parametrize("third", [7, [], {"little_endian": 1}, {"little_endian": None}, {}])
def test_a_legacy_file_without_byte_order_is_refused(tmp_path: Path, third: object):
    path = tmp_path / "w.pth"
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, third)))
    with pytest.raises(WeightFileError, match=r"w\.pth is cut off or damaged.*third pickle does not say"):
        open_weights(path)


@pytest.mark.parametrize("keys", [7, None, ["1"], [["0"]], {"0": 1}, "0"])
def test_a_legacy_file_with_wrong_keys_is_refused(tmp_path: Path, keys: object):
    """No list of its storages; "0" reads as one name, after which the file ends."""
    path = torch_legacy(tmp_path / "w.pth", {"w": plain()}, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: -len(pickle.dumps([], protocol=2))] + pickle.dumps(keys, protocol=2))
    with pytest.raises(WeightFileError, match=r"w\.pth is cut off or damaged"):
        open_weights(path)


def test_big_endian_files_are_refused(tmp_path: Path):
    for path in (
        torch_zip(tmp_path / "zip.pth", {"w": plain()}, {"0": SIX["0"].tobytes()}, byteorder=b"big"),
        torch_legacy(tmp_path / "old.pth", {"w": plain()}, {"0": (6, SIX["0"].tobytes())}, little_endian=False),
    ):
        with pytest.raises(WeightFileError, match=f"{path.name} was written on a big-endian machine"):
            open_weights(path)


def test_compressed_files_are_refused(tmp_path: Path):
    path = tmp_path / "w.pth"
    torch_zip(path, {"w": plain()}, {"0": bytes(10**6)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightFileError, match="compressed or encrypted: save it again"):
        open_weights(path)


def test_encrypted_files_are_refused(tmp_path: Path):
    """The first bit of the flags of a member, in the directory at the end of the file."""
    path = torch_zip(tmp_path / "w.pth", {"w": plain()}, {"0": SIX["0"].tobytes()})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(WeightFileError, match="compressed or encrypted: save it again"):
        open_weights(path)


def test_other_zip_files_are_named(tmp_path: Path):
    path = torch_zip(tmp_path / "w.zip", {}, {}, pickle_name="other.pkl")
    with pytest.raises(WeightFileError, match=r"a zip file without data\.pkl"):
        open_weights(path)


@pytest.mark.parametrize("file", ["tensors_zip.pth", "tensors_legacy.pth"])
def test_a_file_cut_anywhere_is_named(tmp_path: Path, file: str):
    whole, path = (DATA / file).read_bytes(), tmp_path / file
    for end in [*range(16, len(whole), 11), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(WeightFileError, match=f"{file}.*is cut off or damaged"):
            open_weights(path)


@pytest.mark.parametrize("file", ["tensors_zip.pth", "tensors_legacy.pth"])
def test_damage_gives_arrays_or_one_error(tmp_path: Path, file: str):
    whole, path, rng = (DATA / file).read_bytes(), tmp_path / file, np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(16, len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            dict(open_weights(path))
        except WeightFileError as error:
            refused += 1
            assert file in str(error)
    assert refused
