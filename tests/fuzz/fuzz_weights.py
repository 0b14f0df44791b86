"""Weight files of every format, damaged or written to do harm, through all that reads weights."""

import functools
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import detectron2_checkpoint
import h5py
import matterport_checkpoint
import numpy as np
from fuzz_target import FuzzTarget
from mutations import NUMBERS, TEXTS, damage_a_file, damaged_bytes, damaged_tree, zipped
from pickle_writer import Call, Instructions, Name, Storage, pickled, tensor, torch_legacy, torch_zip
from small import build

from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.checkpoints.saving import save_pretrained

KINDS = (
    "torch.FloatStorage", "torch.HalfStorage", "torch.LongStorage", "torch.BFloat16Storage", "torch.BoolStorage",
    "torch.cuda.FloatStorage", "torch.storage.UntypedStorage", "torch.QInt8Storage", "os.system",
)  # fmt: skip
RAN = "code-was-run"
"""A file in the working directory."""
HARMFUL = (
    Call(Name("os", "system"), (f"touch {RAN}",)),
    Call(Name("builtins", "eval"), ("1",)),
    Name("subprocess", "Popen"),
    Name("mmengine.logging.history_buffer", "HistoryBuffer"),
    Call(Name("mmengine.logging.history_buffer", "HistoryBuffer"), (), {"a": 1}),
    Call(Name("collections", "OrderedDict"), ([("a", 1)],)),
    Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (10**12,), b"f")),
    Instructions(b"("),
    Instructions(b"h\xff"),
    Instructions(b"N" * 1000),
    Instructions(b"(" * 5000 + b"t" * 5000),
)


@functools.cache
def whole(name: str) -> bytes:
    """A file as its system writes it, of a small model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        rng = np.random.default_rng(0)
        if name == "ours.safetensors":
            save_pretrained(build(), path)
        elif name == "detectron2.pkl":
            shapes = detectron2_checkpoint.detector(**detectron2_checkpoint.SMALL)
            detectron2_checkpoint.write(path, detectron2_checkpoint.random_arrays(rng, shapes))
        elif name == "matterport.h5":
            shapes = matterport_checkpoint.shapes_by_name(
                matterport_checkpoint.layers(matterport_checkpoint.BLOCKS, 4, 4, 8, 8, 16, 8)
            )
            matterport_checkpoint.write(path, matterport_checkpoint.random_arrays(rng, shapes))
        elif name == "keras.h5":
            with h5py.File(path, "w") as file:
                file.create_dataset("a/a/kernel:0", data=np.arange(60.0).reshape(3, 20), compression="gzip")
                file.create_dataset("a/a/bias:0", data=np.arange(20, dtype="f4"), chunks=(5,))
                file["c/link"] = h5py.ExternalLink("/etc/passwd", "x")
                file["d/soft"] = h5py.SoftLink("/a/a/bias:0")
                file.attrs["layer_names"] = [b"a", b"b"]
        else:
            path.write_bytes((Path(__file__).parents[1] / "checkpoints" / "data" / name).read_bytes())
        return path.read_bytes()


WHOLE = (
    "ours.safetensors", "detectron2.pkl", "matterport.h5", "keras.h5", "tensors_zip.pth", "tensors_legacy.pth",
    "training_zip.pth", "untyped_zip.pth",
)  # fmt: skip


def make_damaged(rng: Random, folder: Path) -> None:
    name = rng.choice(WHOLE)
    path = folder / name
    path.write_bytes(whole(name))
    if rng.random() < 0.15:
        damage_a_file(rng, folder)
    elif name.endswith("safetensors") and rng.random() < 0.7:
        path.write_bytes(other_header(rng, path.read_bytes()))
    else:
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))


def other_header(rng: Random, data: bytes) -> bytes:
    """A .safetensors file whose header says something else."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.5:
        config = json.loads(header["__metadata__"]["config"])
        header["__metadata__"]["config"] = json.dumps(damaged_tree(rng, config))
    else:
        header = damaged_tree(rng, header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def numbers(rng: Random, count: int) -> tuple:
    """Whole numbers of a tensor's description, most of them sane."""
    odd = [number for number in NUMBERS if isinstance(number, int)]
    return tuple(rng.choice([1, 2, 3, rng.choice(odd)]) for _ in range(count))


def odd_tensor(rng: Random) -> Any:
    """A tensor of torch whose description need not fit its storage."""
    if rng.random() < 0.15:
        return rng.choice(HARMFUL)
    dims = rng.randrange(0, 5)
    storage: Any = Storage(rng.choice(KINDS), rng.choice(["0", "1", "2", "9"]), rng.choice([0, 6, 6, 2**40, -1]))
    shape, strides = numbers(rng, dims), numbers(rng, rng.choice([dims, dims, dims, 1]))
    if rng.random() < 0.1:
        shape, strides = rng.choice([None, "ab", [1, 2], (0,) * 70, (1,) * 70, 5]), rng.choice([None, (1,), "x"])
    if rng.random() < 0.1:
        storage = rng.choice([None, 5, "0", [], {}])
    return tensor(storage, rng.choice([0, 0, 1, -1, 2**62, "0", None]), shape, strides)


def make_torch(rng: Random, folder: Path) -> None:
    """Files of torch that are whole but say what cannot be."""
    values: Any = {rng.choice(["a.weight", "w", *TEXTS[:20], 5, None]): odd_tensor(rng) for _ in range(3)}  # type: ignore[misc]
    values |= {"fine": tensor(Storage("torch.FloatStorage", "0", 6), 0, (2, 3), (3, 1))}
    for key in rng.choice([(), ("state_dict",), ("model",), ("a", "b", "model"), ("model",) * 300]):
        values = {key: values, "epoch": 3, "other": rng.choice([None, values, [values], odd_tensor(rng)])}
    if rng.random() < 0.05:
        values = rng.choice([[values], (values,), 5, "text", None, odd_tensor(rng), {}])
    six = np.arange(6, dtype="f4").tobytes()
    path, empty = folder / "weights.pth", rng.choice([b"", six])
    if rng.random() < 0.5:
        torch_zip(path, values, {"0": six, "1": empty, "2": six[:7]}, rng.choice([b"little", b"big", b"", b"\xff"]))
    else:
        torch_legacy(path, values, {"0": (6, six), "1": (len(empty) // 4, empty), "2": (rng.choice([6, 2**60]), six)})
    if rng.random() < 0.2:
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))


def make_pickle(rng: Random, folder: Path) -> None:
    """Pickles beside torch, and archives that hold what they should not."""
    harmful = pickled({"model": {"a": rng.choice(HARMFUL), "b": np.zeros(3)}})
    choices: list[Callable[[], bytes]] = [
        lambda: harmful,
        lambda: damaged_bytes(rng, harmful),
        lambda: b"\x80\x02" + rng.randbytes(rng.choice([0, 1, 50])),
        lambda: b"\x80\x04" + b"]\x94" * 3000 + b".",
        lambda: b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b".",
        lambda: b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"abc.",
        lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",
        lambda: b"\x80\x02\x8b" + struct.pack("<i", -5) + b".",
        lambda: b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
        lambda: b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",  # a dict that holds itself
        lambda: zipped({"archive/data.pkl": harmful}),
        lambda: zipped({"a.txt": b"x"}),
        lambda: damaged_bytes(rng, zipped({"archive/data.pkl": harmful, "archive/data/0": b"1234"})),
        lambda: struct.pack("<Q", 2**30) + b"{",
        lambda: struct.pack("<Q", 200_002) + b"{" + b'"a":{' * 40_000,
        lambda: b"<html>",
    ]
    (folder / rng.choice(["w.pkl", "w.pth", "w.pt", "w.ckpt"])).write_bytes(rng.choice(choices)())


def read(folder: Path) -> None:
    """Every array of the file, and the model."""
    path = min(folder.iterdir(), default=folder / "gone.pth")
    try:
        found = open_weights(path)
        for name in found:
            _ = found.shape(name), found.dtype(name), found[name]
    except WeightFileError:
        load_pretrained(path)
        raise
    load_pretrained(path)
    if Path(RAN).exists():
        raise RuntimeError("code of a weight file was run")


TARGETS = (
    FuzzTarget("weights: damaged", make_damaged, read),
    FuzzTarget("weights: torch", make_torch, read),
    FuzzTarget("weights: pickle", make_pickle, read),
)
