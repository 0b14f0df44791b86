"""Objects of classes that nobody here knows are inert: never imported, never called, and no obstacle to the weights."""

import pickle
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pickle_writer import Call, Instructions, Name, Storage, pickled, tensor, torch_zip

from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError

SIX = np.arange(6, dtype=np.float32)
TENSOR = tensor(Storage("torch.FloatStorage", "0", 6), 0, (2, 3), (3, 1))


def made(module: str, name: str, *arguments, state=None):
    return Call(Name(module, name), arguments, state)


BESIDE = {
    "ConfigDict": Call(Name("mmengine.config.config", "ConfigDict"), ([["a", 1]],)),
    "history": made("mmengine.logging.history_buffer", "HistoryBuffer", state={"_max_length": 10, "x": [1]}),
    "hyper_parameters": made("lightning.fabric.utilities.data", "AttributeDict", {"lr": 0.1}),
    "omegaconf": made("omegaconf.dictconfig", "DictConfig", state={"_content": {}}),
    "optimizer": made("functools", "partial", Name("torch.optim.adamw", "AdamW")),
    "function": Name("torch.nn.functional", "relu"),
    "script": made("__main__", "Options", state={"lr": 0.1}),
    "old style": made("copy_reg", "_reconstructor", Name("__main__", "Options"), Name("__builtin__", "object"), None),
    "list": [made("my.list", "List"), Instructions(b"(K\x01K\x02e")],
    "dict": [made("my.dict", "Dict"), Instructions(b"(K\x01K\x02u")],
    "one item": [made("my.list", "List"), Instructions(b"K\x01a")],
    "set": {1, 2},
    "inst": [Instructions(b"(K\x01imy.old\nThing\n")],
    "obj": [Instructions(b"(cmy.old\nThing\nK\x01o")],
    "result called again": Call(made("cloudpickle", "_make_skeleton_class", "A"), (1,)),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_objects_beside_the_weights_are_no_obstacle(tmp_path: Path, kind: str):
    checkpoint = {"state_dict": {"conv": TENSOR}, "beside": BESIDE[kind], "epoch": 3}
    path = torch_zip(tmp_path / "w.pth", checkpoint, {"0": SIX.tobytes()})
    weights = open_weights(path)
    assert list(weights) == ["conv"]
    np.testing.assert_array_equal(weights["conv"], SIX.reshape(2, 3))


def test_an_object_where_the_weights_should_be_is_named(tmp_path: Path):
    """A whole model, as `torch.save(model)` writes it; or one in a checkpoint."""
    model = made("ultralytics.nn.tasks", "DetectionModel", state={"weight": TENSOR})
    for content in (model, {"model": model, "ema": None}, {"w": model}):
        path = torch_zip(tmp_path / "w.pth", content, {"0": SIX.tobytes()})
        with pytest.raises(WeightFileError, match=r"ultralytics\.nn\.tasks\.DetectionModel.*Save `model\.state_dict"):
            open_weights(path)


def test_an_object_among_the_weights_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    checkpoint = {"conv": TENSOR, "quantised": made("torch._utils", "_rebuild_qtensor", 1)}
    assert list(open_weights(torch_zip(tmp_path / "w.pth", checkpoint, {"0": SIX.tobytes()}))) == ["conv"]
    [said] = caplog.messages
    assert said.endswith("objects, not arrays, are not read: 1: quantised (torch._utils._rebuild_qtensor)")


@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "builtins.eval", "torch.hub.load", "numpy.load"])
def test_what_runs_code_is_refused_wherever_it_lies(tmp_path: Path, name: str):
    checkpoint = {"state_dict": {"conv": TENSOR}, "beside": made(*name.rsplit(".", 1), "true")}
    path = torch_zip(tmp_path / "w.pth", checkpoint, {"0": SIX.tobytes()})
    with pytest.raises(WeightFileError, match="could run code"):
        open_weights(path)


# Small pickles that would take much time or memory.


def nested(depth: int) -> bytes:
    return b")" + b"\x85" * depth


def doubled(depth: int) -> bytes:
    """A tuple of itself twice, `depth` times over: 2^depth parts."""
    return b")" + b"2\x86" * depth


def copies(of: bytes, times: int) -> bytes:
    return b"(" + of + b"".join(b"ccollections\nOrderedDict\nh\x00\x85R" for _ in range(times)) + b"l"


PAIRS = b"](" + b"".join(b"M" + struct.pack("<H", n) + b"N\x86" for n in range(5000)) + b"eq\x00"
BOMBS = {
    "deep key": b"}" + nested(200_000) + b"Ns",
    "deep keys": b"}(" + nested(200_000) + b"Nu",
    "deep key of an old dict": b"(" + nested(200_000) + b"Nd",
    "deep key of an OrderedDict": b"ccollections\nOrderedDict\n]](" + nested(200_000) + b"Neaa\x85R",
    "deep item of a set": b"\x8f(" + nested(200_000) + b"\x90",
    "deep item of a frozenset": b"(" + nested(200_000) + b"\x91",
    "doubled key": b"}" + doubled(60) + b"Ns",
    "doubled": doubled(60),
    "deep list": b"]" * 60_000 + b"a" * 59_999,
    "deep argument": b"cmy\nThing\n" + nested(200_000) + b"R",
    "copies of a dict": copies(PAIRS, 2000),
    "copies of a text": b"(X"
    + struct.pack("<I", 20000)
    + b"x" * 20000
    + b"q\x00"
    + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 2000
    + b"l",
    "large number": b"\x8b" + struct.pack("<i", 2**20) + b"\x7f" * 2**20,
    "number of many digits": b"L" + b"9" * 100_000 + b"L\n",
    "large float": b"F" + b"9" * 100_000 + b"\n",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_small_pickles_end_soon_and_take_little_memory(tmp_path: Path, kind: str):
    path = tmp_path / "w.pkl"
    path.write_bytes(b"\x80\x04" + BOMBS[kind] + b".")
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(WeightFileError, match=r"w\.pkl"):
            open_weights(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**28 and time.process_time() - started < 15


def test_arrays_may_not_claim_more_than_the_file_holds(tmp_path: Path):
    """Twenty arrays of one storage; two, as of a layer that is used twice, are read."""
    numbers = np.zeros(5000, np.float32)

    def write(count: int) -> Path:
        whole = tensor(Storage("torch.FloatStorage", "0", numbers.size), 0, numbers.shape, (1,))
        return torch_zip(tmp_path / "w.pth", {str(i): whole for i in range(count)}, {"0": numbers.tobytes()})

    assert len(open_weights(write(2))) == 2
    with pytest.raises(WeightFileError, match=r"w\.pth describes arrays of 1,000,000 bytes in all, and has"):
        open_weights(write(50))


def test_an_array_of_a_wrong_shape_is_no_array(tmp_path: Path):
    for shape in ((-1, 3), (2**60, 0), [2, 3], ("2", 3)):
        array = made("numpy.core.numeric", "_frombuffer", SIX.tobytes(), made("numpy", "dtype", "f4"), shape, "C")
        (tmp_path / "w.pkl").write_bytes(pickled({"a": array}))
        with pytest.raises(WeightFileError, match=r"w\.pkl is cut off or damaged.*of shape"):
            open_weights(tmp_path / "w.pkl")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"a": SIX}, 5))
    assert open_weights(tmp_path / "w.pkl").shape("a") == (6,)
