"""A plan of round numbers, as text and as JSON."""

import json

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


def test_as_text():
    text = to_text(Plan(TPU, "bfloat16", COMPILED, SEEN, COMPILED._replace(images=1, collectives=[])))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for expected in (
        "v5e:2x2: 4 × TPU v5e, compiled with jax 1, compiler 2",
        "Train step: 8 images of 1024 × 512 per device, bfloat16; compiled in 61 s",
        "parameters 0.500",
        "together 7.500 of 15.75: fits",
        "as compiled 1970.0",
        "the model's own 1477.5",
        "not the model's, share 25.0 %",
        "memory traffic: 81.9 GB",
        # 8 images in 80 ms, and in 100.
        "at the device's peak: arithmetic 80.0 ms (100 images/s), memory traffic 100.0 ms (80 images/s)",
        "3 × all-reduce 1.000 MiB gradients and losses",
        "1 × all-gather 0.500 MiB in a loop x",
        "Prediction: 1 image of 1024 × 512 per device, bfloat16; compiled in 61 s",
        "collectives: none",
        "Images per device: 8 is the largest of those compiled that fits 15.75 GiB",
        "4 4.00 GiB fits",
        "16 16.00 GiB does not fit",
    ):
        assert expected in lines, expected
    assert lines.index("4 4.00 GiB fits") < lines.index("8 7.50 GiB fits") < lines.index("16 16.00 GiB does not fit")


def test_a_device_without_peaks_has_no_bounds():
    text = to_text(Plan(CPU, "float32", COMPILED, {8: 15 * GIB // 2}, COMPILED))
    assert "peak" not in text and "fits" not in text and "Images per device" not in text


def test_programs_that_do_not_fit():
    text = to_text(Plan(TPU, "bfloat16", None, {1: 20 * GIB}, COMPILED._replace(memory={"batch": 17 * GIB})))
    assert "Train step: does not fit" in text and "0 is the largest" in text
    assert "17.000 of 15.75: DOES NOT FIT" in text


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
