"""Every tensor of a trace by dotted name, with numbers worked out by hand."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from small import CONFIG, build, change, mixed

from maskrcnn_jax.inspect import take, trace_table
from maskrcnn_jax.inspect.tensors import measure
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.structs import Proposals, Trace


class Record(NamedTuple):
    proposals: Proposals
    features: tuple
    masks: object


RECORD = Record(
    Proposals(
        boxes=np.array([[[0, 0, 4, 8], [9, 9, 9, 9]], [[2, 2, 2, 2], [7, 7, 7, 7]]], np.float32),
        scores=np.array([[0.5, 99.0], [0.25, np.nan]], np.float32),
        valid=np.array([[True, False], [True, False]]),
    ),
    (np.zeros((1, 2), np.int32), np.array([np.nan, np.inf, 3.0, 0.0], np.float32)),
    None,
)


@pytest.fixture(scope="module")
def trace() -> Trace:
    batch = mixed()
    return jax.jit(forward, compiler_options={"xla_backend_optimization_level": 0})(
        build(), batch.images, batch.image_sizes
    )


def test_numbers_of_an_array():
    # mean 9 / 4, variance (3² + 0 + 0 + 6²) / 4 − (9/4)² = 45/4 − 81/16 = 99/16, norm √45
    numbers = measure(np.array([[3, 0], [0, 6]], np.int16))
    assert numbers.size == 4 and numbers.non_finite == 0
    assert numbers[1:7] == pytest.approx((0, 6, 2.25, (99 / 16) ** 0.5, 45**0.5, 0.5))


def test_what_is_not_finite_counts_alone():
    numbers = measure(np.array([np.nan, -np.inf, 4.0, 0.0]))
    assert (numbers.non_finite, numbers.min, numbers.max, numbers.mean, numbers.norm) == (2, 0, 4, 2, 4)
    assert numbers.zeros == 0.25  # one of four


@pytest.mark.parametrize("array", [np.zeros(0), np.full(3, np.nan)])
def test_of_nothing_finite_there_are_no_numbers(array: np.ndarray):
    numbers = measure(array)
    assert np.isnan(numbers[1:5]).all() and numbers.non_finite == array.size and numbers.zeros == 0


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16, ml_dtypes.bfloat16])
def test_of_any_type(dtype: type):
    assert measure(np.array([0, 1, 1, 1], dtype))[:4] == (4, 0, 1, 0.75)


def test_float32_sums_are_exact_enough():
    """Sums in float32, which has seven digits, are off by 1e-6 or so."""
    values = np.random.default_rng(0).exponential(size=100_000).astype(np.float32)
    numbers, exact = measure(values), values.tolist()
    assert numbers.mean == pytest.approx(math.fsum(exact) / len(exact), rel=1e-13)
    assert numbers.norm == pytest.approx(math.sqrt(math.fsum(x * x for x in exact)), rel=1e-13)


def test_a_row_for_every_tensor():
    entries = {row[0]: row[1:] for row in trace_table(RECORD).entries}
    assert list(entries) == ["proposals.boxes", "proposals.scores", "proposals.valid", "features.0", "features.1"]
    # Of the valid slots: boxes 0 0 4 8 and 2 2 2 2, whose mean is 20/8; two of eight are 0.
    assert entries["proposals.boxes"] == ((2, 2, 4), "float32", 0.0, 8.0, 2.5, "25.0%", "", "2 of 4")
    assert entries["proposals.scores"] == ((2, 2), "float32", 0.25, 0.5, 0.375, "0.0%", "", "2 of 4")
    assert entries["proposals.valid"] == ((2, 2), "bool", 0.0, 1.0, 0.5, "50.0%", "", "")
    assert entries["features.1"] == ((4,), "float32", 0.0, 3.0, 1.5, "25.0%", 2, "")


def test_every_tensor_of_a_real_trace(trace: Trace):
    lines = {line.split()[0]: line for line in str(trace_table(trace)).splitlines()[1:]}
    assert len(lines) == len(jax.tree.leaves(trace))
    assert {
        "images",
        "features.4",
        "rpn.deltas",
        "candidates.keep",
        "detections.masks",
        "heads.mask.output",
    } <= lines.keys()
    count = int(np.asarray(trace.proposals.valid).sum())
    assert lines["proposals.boxes"].endswith(f"{count} of {4 * CONFIG.model.rpn.proposals.count}")


def test_take(trace: Trace):
    assert take(trace, "proposals.boxes") is trace.proposals.boxes
    assert take(trace, "features.2") is trace.features[2]
    assert take(trace, "detections") is trace.detections
    assert all(take(trace, row[0]).shape == row[1] for row in trace_table(trace).entries)


def test_take_under_jit():
    inner = jax.jit(lambda record: take(record, "features.1") * 2)
    assert inner(jax.tree.map(jnp.asarray, RECORD))[2] == 6


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("proposal.boxes", r"did you mean proposals\.boxes"),
        ("boxes", r"did you mean .*proposals\.boxes"),
        ("features.5", r"did you mean .*features\.4"),
        ("proposals.boxes.0", r"did you mean proposals\.boxes"),
        ("", r"there are images, features\.0"),
        ("qqq", r"there are images, features\.0"),
    ],
)
def test_a_wrong_name_gets_those_that_are_meant(trace: Trace, name: str, hint: str):
    with pytest.raises(ValueError, match=f"there is no tensor '{name}'; {hint}"):
        take(trace, name)


def test_a_model_without_masks_is_named():
    batch, model = mixed(), build(change(CONFIG.model, mask_head=None))
    found = jax.eval_shape(forward, model, batch.images, batch.image_sizes)
    with pytest.raises(ValueError, match="mask_logits is None: this trace has no such tensor"):
        take(found, "mask_logits")
    with pytest.raises(ValueError, match=r"there is no tensor 'mask_rois\.boxes'"):
        take(found, "mask_rois.boxes")
