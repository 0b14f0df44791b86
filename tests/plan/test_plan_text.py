"""A plan of round numbers, as text and as JSON."""

import json
import re

import pytest

from maskrcnn_jax.plan.collectives import CollectiveGroup
from maskrcnn_jax.plan.compiled import CompiledProgram
from maskrcnn_jax.plan.report import Plan
from maskrcnn_jax.plan.targets import DEVICES, GIB, Target
from maskrcnn_jax.plan.text import other_share, peak_seconds, to_json, to_text

COMPILED = CompiledProgram(
    images=8,
    size=(1024, 512),
    memory={"parameters": GIB // 2, "activations, gradients, temporaries": 7 * GIB},
    flops=15.76e12,
    model_flops=11.82e12,
    moved=819e8,
    collectives=[
        CollectiveGroup("all-reduce", ("gradients", "losses"), False, 3, 2**20),
        CollectiveGroup("all-gather", ("x",), True, 1, 2**19),
    ],
    seconds=61.4,
)
TPU = Target(DEVICES["v5e"], "v5e:2x2", 4)
CPU = Target(DEVICES["cpu"], "cpu:2", 2)
SEEN = {4: 4 * GIB, 16: 16 * GIB, 8: 15 * GIB // 2}


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch):
    """The compiler for TPUs need not be installed here."""
    monkeypatch.setattr(Target, "compiler", property(lambda self: "jax 1, compiler 2"))


def test_time_at_the_device_s_peak():
    """15.76 TFLOP at 197 TFLOP/s; 81.9 GB at 819 GB/s."""
    assert peak_seconds(COMPILED, TPU.device) == {
        "arithmetic": pytest.approx(0.08),
        "memory traffic": pytest.approx(0.1),
    }
    assert peak_seconds(COMPILED, CPU.device) == {}
    assert peak_seconds(COMPILED._replace(moved=None), TPU.device) == {"arithmetic": pytest.approx(0.08)}


def test_the_share_that_is_not_the_models():
    assert other_share(COMPILED) == 0.25
    fewer = COMPILED._replace(flops=COMPILED.model_flops / 2)
    assert other_share(fewer) is None


def numbers(line: str) -> list[float]:
    """The numbers of a line that are no part of a name."""
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", line)]


def test_as_text():
    text = to_text(Plan(TPU, "bfloat16", COMPILED, SEEN, COMPILED._replace(images=1, collectives=[])))
    found = [numbers(line) for line in text.splitlines()]
    for expected in (
        [8, 1024, 512, 61],  # images, size, seconds of the compilation
        [0.5],  # GiB of parameters
        [7.5, 15.75],  # GiB of all and of the device
        [1970],  # GFLOP per image: 15.76 TFLOP of 8 images
        [1477.5],
        [25],  # % that are not the model's
        [81.9],  # GB
        [80, 100, 100, 80],  # ms and images/s: 8 images in 80 ms, and in 100
        [3, 1],  # all-reduces and their MiB
        [1, 0.5],
        [1, 1024, 512, 61],
        [8, 15.75],  # the largest batch, and GiB of the device
    ):
        assert expected in found, expected
    assert [line for line in found if len(line) == 2][-3:] == [[4, 4], [8, 7.5], [16, 16]]  # images and their GiB


def test_a_device_without_peaks_has_no_bounds():
    text = to_text(Plan(CPU, "float32", COMPILED, {8: 15 * GIB // 2}, COMPILED))
    assert "peak" not in text and "fits" not in text and "Images per device" not in text


def test_programs_that_do_not_fit():
    text = to_text(Plan(TPU, "bfloat16", None, {1: 20 * GIB}, COMPILED._replace(memory={"batch": 17 * GIB})))
    assert [17, 15.75] in map(numbers, text.splitlines())
    assert text.casefold().count("does not fit") == 3  # the train step, the prediction and the only batch


def test_as_json():
    found = json.loads(json.dumps(to_json(Plan(TPU, "bfloat16", COMPILED, SEEN, None))))
    assert found["predict"] is None and found["target"] == "v5e:2x2" and found["devices"] == 4
    train = found["train"]
    assert train["memory"]["together"] == 15 * GIB // 2 == sum(train["memory"].values()) - train["memory"]["together"]
    assert (train["flops"], train["model_flops"], train["other_share"]) == (15.76e12, 11.82e12, 0.25)
    assert train["collectives"][0] == {
        "kind": "all-reduce",
        "purposes": ["gradients", "losses"],
        "looped": False,
        "instructions": 3,
        "bytes": 2**20,
    }
    assert found["bytes_by_images"] == {"4": 4 * GIB, "16": 16 * GIB, "8": 15 * GIB // 2}
    assert found["device"]["memory"] == int(15.75 * GIB)
