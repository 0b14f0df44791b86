"""Every array is accounted for, and read once."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from maskrcnn_jax.checkpoints.convert.layout import Axes, Same
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, Rule, convert


class Watched(Mapping[str, np.ndarray]):
    """A file that remembers what is read."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays, self.reads = arrays, []

    def __getitem__(self, name: str) -> np.ndarray:
        self.reads.append(name)
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


FILE = {
    "fc.weight": np.arange(6.0).reshape(2, 3),
    "fc.bias": np.float16([0.5, 2]),
    "fc.shift": np.float32([1, 1]),
    "counter": np.int64(7),
}
RULES = {
    "head.kernel": Rule(("fc.weight",), Axes((1, 0)).read),
    "head.bias": Rule(("fc.bias", "fc.shift"), lambda bias, shift: bias - shift),
}
SHAPES = {"head.kernel": (3, 2), "head.bias": (2,)}


def test_arrays_become_ours():
    file = Watched(FILE)
    found = convert(file, RULES, SHAPES, unused=["counter"])
    assert found.keys() == SHAPES.keys()
    np.testing.assert_array_equal(found["head.kernel"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["head.bias"], [-0.5, 1])
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in found.values())
    assert sorted(file.reads) == ["fc.bias", "fc.shift", "fc.weight"]


def test_all_that_does_not_fit_is_listed_at_once():
    file = {name: array for name, array in FILE.items() if name != "fc.shift"} | {"extra": np.zeros((4, 1))}
    rules = RULES | {"head.scale": Rule(("fc.scale",), Same().read)}
    with pytest.raises(ConversionError, match="belong to another architecture") as refused:
        convert(file, rules, {"head.kernel": (3, 3), "head.bias": (2,), "head.scale": (2,)})
    assert [line.strip() for line in str(refused.value).splitlines()[1:]] == [
        "missing: fc.scale, for head.scale (2,)",
        "missing: fc.shift, for head.bias (2,)",
        "shape: fc.weight (2, 3) does not make head.kernel (3, 3)",
        "unexpected: counter ()",
        "unexpected: extra (4, 1)",
    ]


def test_a_layout_that_the_array_cannot_have_is_a_wrong_shape():
    with pytest.raises(ConversionError, match=r"shape: a \(2,\) does not make b \(2, 1\)"):
        convert({"a": np.zeros(2)}, {"b": Rule(("a",), Axes((1, 0)).read)}, {"b": (2, 1)})


def test_nothing_of_a_file_is_read_for_unused_arrays():
    file = Watched(FILE)
    assert convert(file, RULES, {}, unused=FILE) == {}
    assert file.reads == []
