"""Pickles give their data, and whatever they try beside that does not happen."""

import argparse
import copyreg
import io
import pickle
import struct
import tracemalloc
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from pickle_writer import Call, Instructions, Name, pickled

from maskrcnn_jax.checkpoints.formats import stand_ins
from maskrcnn_jax.checkpoints.formats.stand_ins import NAMES, PickledArray, StandIn, Unknown
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.checkpoints.formats.torch_file import TORCH_NAMES
from maskrcnn_jax.checkpoints.formats.unpickle import Unpickler

PATH = Path("weights.pkl")


def load(data):
    return Unpickler(io.BytesIO(data), PATH).load()


def text(string):
    """An instruction that pushes a text."""
    return pickle.BINUNICODE + struct.pack("<I", len(string)) + string.encode()


# Every way a pickle has of calling `os.mkdir(MARK)` or of getting at something that would.
MARK = "mark of an attack"
ATTACKS = {
    "REDUCE": ("os.mkdir", b"\x80\x02cos\nmkdir\n(" + text(MARK) + b"tR."),
    "REDUCE, protocol 0": ("os.mkdir", b"cos\nmkdir\n(V" + MARK.encode() + b"\ntR."),
    "STACK_GLOBAL": ("os.mkdir", b"\x80\x04" + text("os") + text("mkdir") + b"\x93(" + text(MARK) + b"tR."),
    "INST": ("os.mkdir", b"(" + text(MARK) + b"ios\nmkdir\n."),
    "OBJ": ("os.mkdir", b"(cos\nmkdir\n" + text(MARK) + b"o."),
    "eval": ("builtins.eval", b"c__builtin__\neval\n(" + text(f"__import__('os').mkdir('{MARK}')") + b"tR."),
    "NEWOBJ": ("pathlib_like.Thing", b"\x80\x02cpathlib_like\nThing\n(" + text(MARK) + b"t\x81."),
    "NEWOBJ_EX": ("pathlib_like.Thing", b"\x80\x04cpathlib_like\nThing\n(" + text(MARK) + b"t}\x92."),
    "BUILD": ("pathlib_like.Thing", b"\x80\x02cpathlib_like\nThing\n)\x81" + text(MARK) + b"b."),
    "inside a state dict": (
        "os.mkdir",
        b"\x80\x02}" + text("model") + b"}" + text("weight") + b"cos\nmkdir\n(" + text(MARK) + b"tRss.",
    ),
}


class Thing:
    """Leaves the mark when it is made or gets a state."""

    def __new__(cls, folder=None):
        if folder:
            Path(folder).mkdir()
        return object.__new__(cls)

    def __setstate__(self, folder):
        Path(folder).mkdir()


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """The folder that an attack makes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pathlib_like", argparse.Namespace(Thing=Thing))
    return tmp_path / MARK


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_or_inert_and_does_nothing(mark: Path, attack: str):
    """Of Python's own functions it is refused; an unknown class may be a training program's and is not made."""
    name, data = ATTACKS[attack]
    if name == "pathlib_like.Thing":
        loaded = load(data)
        assert isinstance(loaded, Unknown) and loaded.name == name
        assert not mark.exists()
        return
    with pytest.raises(WeightFileError) as refused:
        load(data)
    assert not mark.exists()
    for part in (str(PATH), name.replace("builtins", "__builtin__"), "could run code", "state_dict", ".safetensors"):
        assert part in str(refused.value)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attacks_are_real(mark: Path, attack: str):
    pickle.loads(ATTACKS[attack][1])
    assert mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        "collections.OrderedDict.__init__.__globals__",
        "numpy.fromfile",
        "numpy.core.multiarray.fromfile",
        "torch.load",
        "builtins.getattr",
        "builtins.__import__",
        "operator.attrgetter",
    ],
)
def test_names_beside_the_table_are_refused(name: str):
    for split in range(1, name.count(".") + 1):
        module, attribute = ".".join(name.split(".")[:split]), ".".join(name.split(".")[split:])
        with pytest.raises(WeightFileError, match=name.replace(".", r"\.")):
            load(b"\x80\x04" + text(module) + text(attribute) + b"\x93.")


def test_extension_codes_are_refused_even_if_python_knows_them(mark: Path):
    copyreg.add_extension("os", "mkdir", 240)
    try:
        data = b"\x80\x02\x82\xf0(" + text(MARK) + b"tR."
        pickle.loads(data)  # which also fills a cache that goes past find_class
        mark.rmdir()
        with pytest.raises(WeightFileError, match="extension 240"):
            load(data)
    finally:
        copyreg.remove_extension("os", "mkdir", 240)
        copyreg.clear_extension_cache()
    assert not mark.exists()


def test_the_table_holds_texts_and_classes_of_this_package_alone():
    for stand_in in TORCH_NAMES.values():
        assert isinstance(stand_in, str) or stand_in.__module__.startswith("maskrcnn_jax.checkpoints.formats.")
        assert isinstance(stand_in, str) or issubclass(stand_in, StandIn)


@pytest.mark.parametrize("name", [name for name in NAMES if not isinstance(NAMES[name], str)])
def test_no_attribute_of_a_class_can_be_set(name: str):
    """BUILD with a pair of states sets attributes on what has no `__setstate__`, were it a class."""
    stand_in = NAMES[name]
    before = dict(vars(stand_in))
    with pytest.raises(WeightFileError):
        load(pickled([Name(*name.rsplit(".", 1)), Instructions(b"N}" + text("hidden") + b"K\x01s\x86b")]))
    assert dict(vars(stand_in)) == before


def test_attacked_texts_stay_texts():
    with pytest.raises(WeightFileError):
        load(pickled(Call(Name("numpy", "ndarray"), ())))
    with pytest.raises(WeightFileError):
        load(b"cnumpy\nndarray\n}" + text("hidden") + b"K\x01sb.")


def test_persistent_ids_are_refused_in_plain_pickles():
    with pytest.raises(WeightFileError, match=r"weights\.pkl"):
        load(pickled([1, Instructions(pickle.BINPERSID)]))


@pytest.mark.parametrize(
    "data",
    {
        "index": b"\x80\x02Nr" + struct.pack("<I", 2**24) + b".",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**28) + b"x.",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**28) + b"x.",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 2**28) + b"x.",
        "number": b"\x80\x02\x8b" + struct.pack("<i", 2**28) + b"x.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**28) + b"N.",
    }.values(),
)
def test_a_small_pickle_takes_little_memory(data: bytes):
    tracemalloc.start()
    try:
        load(data)
    except WeightFileError as error:
        assert "cut off or damaged" in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**20


def test_the_text_of_an_error_stays_short():
    nested = ("x",)
    for _ in range(20):  # a million texts, were it written out
        nested = (nested, nested)
    with pytest.raises(WeightFileError) as refused:
        load(pickled(Call(Name("numpy.core.numeric", "_frombuffer"), (b"", nested, (0,), "C"))))
    assert len(str(refused.value)) < 1000


# What is read.

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
    "transposed": np.arange(24, dtype=np.float64).reshape(2, 3, 4).transpose(1, 2, 0),
    "big endian": np.arange(3, dtype=">f4"),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 4), np.float16),
    "bool": np.array([True, False]),
    "uint8": np.arange(256, dtype=np.uint8),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_protocol_are_read_bit_by_bit(name: str, protocol: int):
    expected = ARRAYS[name]
    loaded = load(pickle.dumps({"blobs": [expected]}, protocol))["blobs"][0]
    assert isinstance(loaded, PickledArray)
    actual = loaded.view()
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    assert actual.tobytes() == expected.tobytes()


def test_arrays_written_by_python_2_are_read():
    """Python 2's bytes are what later versions call text in Latin-1."""
    raw = np.array([1.5, -200.25], "<f4").tobytes()
    dtype = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = (
        b"\x80\x02}U\x07conv1_wcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        + (b"(K\x01K\x02\x85" + dtype + b"\x89U\x08" + raw)
        + b"tbs."
    )
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1")["conv1_w"], [1.5, -200.25])
    np.testing.assert_array_equal(load(data)["conv1_w"].view(), np.array([1.5, -200.25], "f4"))


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, None]),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.zeros(2, [("a", "f4")]),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1j]),
    ],
    ids=lambda array: str(array.dtype),
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_anything_but_numbers_are_refused(array: np.ndarray, protocol: int):
    with pytest.raises(WeightFileError, match="and weights are numbers") as refused:
        load(pickle.dumps([array], protocol))
    assert str(PATH) in str(refused.value)


def test_an_array_with_too_few_bytes_is_refused():
    data = pickle.dumps(np.arange(8, dtype="u1"), protocol=4)
    shape = b"K\x08\x85"  # (8,)
    assert data.count(shape) == 1
    with pytest.raises(WeightFileError, match="damaged"):
        load(data.replace(shape, b"K\x09\x85"))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_training_programs_keep_beside_the_weights_is_read_over(protocol: int):
    beside = {
        "args": argparse.Namespace(lr=0.1, data=Path("x"), nested=argparse.Namespace(a={1, 2})),
        "best": np.float64(0.5),
        "raw": bytearray(b"abc"),
        "empty": b"",
        "slice": slice(1, 2),
        "epoch": 7,
        "betas": (0.9, 0.999),
    }
    loaded = load(pickle.dumps(beside, protocol))
    assert isinstance(loaded["args"], StandIn)
    assert not hasattr(loaded["args"], "lr")
    assert {key: loaded[key] for key in ("empty", "epoch", "betas")} == {
        "empty": b"",
        "epoch": 7,
        "betas": (0.9, 0.999),
    }


@pytest.mark.parametrize(
    "mapping", [OrderedDict(b=1, a=2), Counter({"b": 1, "a": 2}), defaultdict(list, {"b": 1, "a": 2})]
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_kinds_of_dicts_are_dicts(mapping: dict, protocol: int):
    loaded = load(pickle.dumps(mapping, protocol))
    assert list(loaded.items()) == [("b", 1), ("a", 2)]


def test_attributes_of_a_dict_are_dropped():
    """A state dict of torch has `_metadata`; an attribute `items` would stand before the method."""
    for name in ("_metadata", "items"):
        loaded = load(pickled(Call(Name("collections", "OrderedDict"), ([["a", 1]],), {name: 0})))
        assert list(loaded.items()) == [("a", 1)]
        assert not hasattr(loaded, "_metadata")


# Damage.

WHOLE = pickle.dumps({"model": {**ARRAYS, "more": OrderedDict(a=1.5)}, "args": argparse.Namespace(a=1)}, protocol=4)


def test_a_pickle_cut_anywhere_is_named():
    for end in range(len(WHOLE)):
        with pytest.raises(WeightFileError, match=r"weights\.pkl is cut off or damaged"):
            load(WHOLE[:end])


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=300)
def test_a_damaged_pickle_gives_data_or_one_error(data: st.DataObject):
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(WHOLE) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(damaged))
    except WeightFileError as error:
        assert str(PATH) in str(error)


def test_the_file_is_left_where_the_pickle_ends():
    file = io.BytesIO(pickle.dumps("first", 4) + pickle.dumps("second", 2) + b"rest")
    assert [Unpickler(file, PATH).load() for _ in range(2)] == ["first", "second"]
    assert file.read() == b"rest"


def test_nothing_of_the_module_can_be_called_but_stand_ins():
    """The list of what a pickle can reach is what the docstring says it is."""
    reachable = {stand_in for stand_in in NAMES.values() if not isinstance(stand_in, str)}
    assert all(vars(stand_ins)[stand_in.__name__] is stand_in for stand_in in reachable)
