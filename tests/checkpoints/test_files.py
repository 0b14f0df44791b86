"""Any file opens by its content; what cannot be opened says why, and what to do."""

import pickle
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from pickle_writer import Storage, tensor, torch_legacy, torch_zip
from safetensors.numpy import save_file

from maskrcnn_jax.checkpoints.formats.files import WeightFile, open_weights
from maskrcnn_jax.checkpoints.formats.stored import StoredArray, WeightFileError

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
TENSOR = tensor(Storage("torch.FloatStorage", "0", 6), 0, (2, 3), (3, 1))


def write_h5(path):
    with h5py.File(path, "w") as file:
        file["a/w"] = ARRAY


FORMATS = {
    "torch": lambda path: torch_zip(path, {"a/w": TENSOR}, {"0": ARRAY.tobytes()}),
    "old torch": lambda path: torch_legacy(path, {"a/w": TENSOR}, {"0": (6, ARRAY.tobytes())}),
    "keras": write_h5,
    "safetensors": lambda path: save_file({"a/w": ARRAY}, path),
} | {
    f"pickle {n}": lambda path, n=n: path.write_bytes(pickle.dumps({"a/w": ARRAY}, n))
    for n in range(pickle.HIGHEST_PROTOCOL + 1)
}


@pytest.mark.parametrize("suffix", ["", ".pth", ".h5"])
@pytest.mark.parametrize("form", FORMATS)
def test_the_content_tells_the_format(tmp_path: Path, form: str, suffix: str):
    path = tmp_path / f"weights{suffix}"
    FORMATS[form](path)
    for source in (path, str(path)):
        weights = open_weights(source)
        assert list(weights) == ["a/w"]
        assert weights["a/w"].tobytes() == ARRAY.tobytes()
        assert weights["a/w"].flags.writeable
        assert weights["a/w"].flags.c_contiguous
        assert weights.path == path
        assert weights.metadata == {}


def test_two_formats_give_the_same_mapping(tmp_path: Path):
    FORMATS["torch"](tmp_path / "a")
    FORMATS["keras"](tmp_path / "b")
    (name, first), (other, second) = (next(iter(open_weights(tmp_path / n).items())) for n in "ab")
    assert name == other
    np.testing.assert_array_equal(first, second)


# Safetensors.


@pytest.mark.parametrize(
    "array",
    [np.array([1 / 3, -np.inf], dtype) for dtype in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)]
    + [np.array([0, 1], dtype) for dtype in "bhilBHIL?"]
    + [np.zeros((0, 3), np.float32), np.array(2.5)],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_safetensors_are_read_bit_by_bit(tmp_path: Path, array: np.ndarray):
    save_file({"w": array}, tmp_path / "w.safetensors")
    weights = open_weights(tmp_path / "w.safetensors")
    assert (weights.shape("w"), weights.dtype("w")) == (array.shape, array.dtype)
    assert (weights["w"].shape, weights["w"].dtype) == (array.shape, array.dtype)
    assert weights["w"].tobytes() == array.tobytes()
    assert weights["w"].flags.writeable


def test_safetensors_have_metadata(tmp_path: Path):
    save_file({"w": ARRAY}, tmp_path / "w", metadata={"config": '{"a": 1}'})
    assert open_weights(tmp_path / "w").metadata == {"config": '{"a": 1}'}


def test_safetensors_that_begin_like_a_pickle_are_read(tmp_path: Path):
    """The first bytes are the length of the header; 0x80 begins a pickle as well."""
    for length in range(200):
        save_file({"w": ARRAY}, tmp_path / "w", metadata={"text": "x" * length})
        if (tmp_path / "w").read_bytes()[0] == 0x80:
            break
    assert (tmp_path / "w").read_bytes()[0] == 0x80
    np.testing.assert_array_equal(open_weights(tmp_path / "w")["w"], ARRAY)


def test_safetensors_of_other_types_are_refused(tmp_path: Path):
    save_file({"w": np.array([1, 2], ml_dtypes.float8_e4m3fn)}, tmp_path / "w")
    with pytest.raises(WeightFileError, match=r"arrays of type \['F8_E4M3'\]; save it with one of"):
        open_weights(tmp_path / "w")


def test_cut_safetensors_are_named(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    save_file({"w": ARRAY}, path)
    whole = path.read_bytes()
    for end in range(len(whole) - ARRAY.nbytes, len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(WeightFileError, match=r"w\.safetensors is cut off or damaged"):
            open_weights(path)


# What is no file of weights.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: download"),
        (b"<!DOCTYPE html>\n<html>404</html>", "it is text (a web page: the download failed) that begins with '<!DOC"),
        (b"\n  <html>", "(a web page: the download failed)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "'version https://git-lfs.github.com/spec/v1'"),
        (b'{"error": "no such file"}', 'it is text that begins with \'{"error": "no such file"}\''),
        (b"\x1f\x8b\x08\x00" + bytes(20), "it begins with the bytes 1f 8b 08 00 00 00 00 00; wanted a .pth"),
        (bytes(100), "it begins with the bytes 00 00"),
        ("é".encode() * 50, "it begins with the bytes c3 a9"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightFileError) as refused:
        open_weights(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(WeightFileError, match=r"missing\.pth does not exist; give"):
        open_weights(tmp_path / "missing.pth")


def test_a_folder_is_named(tmp_path: Path):
    with pytest.raises(WeightFileError, match="is a folder; give the file"):
        open_weights(tmp_path)


def test_other_errors_of_the_system_are_passed_on(tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(WeightFileError, match=r"loop cannot be opened: .*symbolic links"):
        open_weights(tmp_path / "loop")


def test_the_error_is_a_value_error():
    assert issubclass(WeightFileError, ValueError)


# The mapping.


def make_file(read):
    return WeightFile(Path("w.pth"), {"w": StoredArray((2, 3), np.dtype("f4"), read)}, {})


def test_nothing_is_read_before_it_is_asked_for():
    reads = []
    weights = make_file(lambda: reads.append(1) or ARRAY.copy())
    reads.clear()  # of the run-time checks of types
    assert "w" in weights
    assert "v" not in weights
    assert (len(weights), list(weights), list(weights.keys())) == (1, ["w"], ["w"])
    assert (weights.shape("w"), weights.dtype("w")) == ((2, 3), np.float32)
    assert repr(weights) == "WeightFile('w.pth', 1 arrays)"
    assert not reads
    weights["w"]
    weights["w"]
    assert len(reads) == 2


def test_unknown_names_are_key_errors():
    weights = make_file(lambda: ARRAY)
    for ask in (weights.__getitem__, weights.shape, weights.dtype):
        with pytest.raises(KeyError, match="v"):
            ask("v")
    assert weights.get("v") is None


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError("too large")])
def test_errors_of_reading_name_the_array(error: Exception):
    def read():
        raise error

    weights = make_file(read)
    with pytest.raises(WeightFileError, match=r"w\.pth: w of shape \(2, 3\) cannot be read: (disk|too large)"):
        weights["w"]
