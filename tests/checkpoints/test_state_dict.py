"""The weights are found in whatever a training program saved around them."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError

ONE, TWO = np.array([1.0]), np.array([2.0])


@pytest.fixture
def opened(tmp_path):
    """Pickles an object and opens the file."""

    def write(obj):
        path = tmp_path / "weights.pkl"
        path.write_bytes(pickle.dumps(obj, protocol=4))
        return open_weights(path)

    return write


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"conv": ONE},
        {"model": {"conv": ONE}, "optimizer": {"state": {0: {"momentum": TWO}}}, "epoch": 3},
        {"model": {"conv": ONE}, "__author__": "somebody", "matching_heuristics": True},
        {"meta": {"classes": ("a",)}, "state_dict": {"conv": ONE}},
        {"model_state": {"conv": ONE}, "loss": TWO},
        {"model_ema": {"conv": ONE}},
        {"ema": {"conv": ONE}},
        {"blobs": {"conv": ONE, "conv_momentum": TWO}, "cfg": "MODEL: ..."},
        {"conv": ONE, "conv_momentum": TWO},
        {"conv": ONE, "version": 2, "name": "x", 5: TWO},
        {"model_state_dict": {"conv": ONE}},
        {"net": {"conv": ONE}, "acc": 93.1},
        {"checkpoint": {"model": {"state_dict": {"conv": ONE}}}},
        {"ema": {"module": {"conv": ONE}, "decay": 0.999}},
        {"weights_of_today": {"conv": ONE}},
        {"backbone": {"conv": ONE}, "epoch": 3},
        {"optimizer": {"conv": TWO, "fc": TWO}, "params": {"conv": ONE}},
        {"optimizer_state": {"conv": TWO, "fc": TWO}, "whatever": {"conv": ONE}},
    ],
)
def test_weights_are_found(opened, checkpoint: dict):
    weights = opened(checkpoint)
    assert list(weights) == ["conv"]
    np.testing.assert_array_equal(weights["conv"], ONE)


def test_counters_stay(opened):
    """A batch norm that has one was trained, a frozen one has none."""
    assert list(opened({"norm.weight": ONE, "norm.num_batches_tracked": np.array(7)}))[1] == "norm.num_batches_tracked"


@pytest.mark.parametrize(
    ("checkpoint", "taken", "other"),
    [
        ({"model_ema": {"conv": TWO}, "model": {"conv": ONE}}, "model", "model_ema"),
        ({"state_dict_ema": {"conv": TWO}, "state_dict": {"conv": ONE}}, "state_dict", "state_dict_ema"),
        ({"teacher": {"conv": TWO}, "student": {"conv": ONE}}, "student", "teacher"),
        ({"x": {"params_ema": {"conv": TWO}, "params": {"conv": ONE}}}, "x.params", "x.params_ema"),
    ],
)
def test_weights_that_were_trained_come_before_their_average_and_that_is_said(
    opened, caplog: pytest.LogCaptureFixture, checkpoint: dict, taken: str, other: str
):
    assert opened(checkpoint)["conv"] == 1
    [said] = caplog.messages
    assert said.endswith(f"the weights under {taken!r} are used; those under {other!r} are not")


def test_a_few_arrays_beside_the_weights_are_no_weights(opened, caplog: pytest.LogCaptureFixture):
    """Statistics of images, the decay of an average, counters: less than a tenth of what the largest dict has."""
    weights = {f"conv{i}": ONE for i in range(11)}
    assert opened({**weights, "epoch": TWO, "cfg": {"pixel_mean": TWO}}).keys() == weights.keys() | {"epoch"}
    assert opened({"model": {"decay": TWO}, "averaged": weights}).keys() == weights.keys()
    assert not caplog.messages


def test_dicts_that_hold_each_other_are_looked_into_once(opened):
    """A thousand names of each dict in each: 1000³ paths."""
    first: dict = {"conv": ONE}
    first.update({f"again{i}": first for i in range(1000)})
    assert list(opened(first)) == ["conv"]


def test_a_layer_called_model_is_no_container(opened):
    """Names begin with "model." there, and nothing is called "model" alone."""
    assert list(opened({"model.conv": ONE, "head": TWO})) == ["model.conv", "head"]


def test_a_prefix_of_some_names_stays(opened):
    assert list(opened({"module.conv": ONE, "head.module.conv": TWO})) == ["module.conv", "head.module.conv"]


@pytest.mark.parametrize(
    ("checkpoint", "found"),
    [
        ([ONE], "a list"),
        (7, "a int"),
        ({}, "a dict of 0 entries, {}"),
        ({"optimizer": {"conv": ONE}, "epoch": 3}, "a dict of 2 entries, {'optimizer': dict, 'epoch': int}"),
        ({"model": {"epoch": 3}}, "a dict of 1 entries, {'model': dict}"),
        ({("a", "b"): ONE}, "a dict of 1 entries, {('a', 'b'): _NumpyArray}"),
    ],
)
def test_files_without_weights_say_what_is_in_them(opened, checkpoint: object, found: str):
    with pytest.raises(WeightFileError) as refused:
        opened(checkpoint)
    assert "weights.pkl holds no weights" in str(refused.value)
    assert f"found {found}." in str(refused.value)
    assert "'state_dict'" in str(refused.value)


def test_large_dicts_without_weights_are_told_in_short(opened):
    with pytest.raises(WeightFileError) as refused:
        opened({f"{n}" * 1000: n for n in range(1000)})
    assert "1000 entries" in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_arrays_of_python_2_in_caffe2_style_come_as_they_are(opened):
    """Transposed and big-endian arrays come in C order and in the byte order of the machine."""
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    weights = opened({"blobs": {"conv1_w": array}})
    assert weights.dtype("conv1_w") == np.float32
    assert weights.shape("conv1_w") == (3, 2)
    assert weights["conv1_w"].flags.c_contiguous
    assert weights["conv1_w"].flags.writeable
    assert weights["conv1_w"].dtype == np.float32
    np.testing.assert_array_equal(weights["conv1_w"], np.array([[0, 3], [1, 4], [2, 5]], np.float32))


def test_an_empty_array_that_never_got_its_state_is_named(tmp_path: Path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(
        b"\x80\x02}X\x04\x00\x00\x00convcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs."
    )
    with pytest.raises(WeightFileError, match=r"weights\.pkl: conv is described wrongly"):
        open_weights(path)
