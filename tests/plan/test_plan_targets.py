import importlib.util
import re
from importlib import resources

import jax
import pytest

from maskrcnn_jax.plan import targets
from maskrcnn_jax.plan.targets import DEVICES, TargetError, devices, parse


@pytest.mark.parametrize(
    ("text", "platform", "count"),
    [("v5e:4x4", "tpu", 16), ("v6e:2x2", "tpu", 4), ("h100", "cuda", 1), ("h100:8", "cuda", 8), ("cpu:3", "cpu", 3)],
)
def test_targets(text: str, platform: str, count: int):
    target = parse(text)
    assert (target.device.platform, target.count, target.name) == (platform, count, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b200", "'b200' is not known; give v5e:ROWSxCOLUMNS"),
        ("v5e", "the size '' cannot be read"),
        ("v5e:16", "the size '16' cannot be read"),
        ("h100:0", "the size '0' cannot be read"),
        ("h100:", "the size '' cannot be read"),
        ("cpu:2x2", "the size '2x2' cannot be read"),
    ],
)
def test_invalid_targets(text: str, message: str):
    with pytest.raises(TargetError, match=re.escape(f"target = {text!r}: ")) as found:
        parse(text)
    assert message in str(found.value)


def test_cpu_devices():
    assert devices(parse("cpu:3")) == jax.devices()[:3]


def test_more_cpu_devices_than_jax_has_started_with():
    with pytest.raises(TargetError, match="JAX has already started in this process, with 4 CPU devices; plan in a new"):
        devices(parse("cpu:5"))


@pytest.mark.parametrize(("text", "extra"), [("v5e:2x2", "tpu"), ("h100", "cuda13")])
def test_a_missing_compiler_gets_the_line_that_installs_it(text: str, extra: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=re.escape(f'pip install "jax[{extra}]=={jax.__version__}"')):
        devices(parse(text))


def test_a_topology_that_the_compiler_does_not_know(monkeypatch: pytest.MonkeyPatch):
    def fail(**_):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: Unknown topology v5e:3x7\nmore")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(targets.topologies, "get_topology_desc", fail)
    for name in ("SKIP_MDS_QUERY", "ACCELERATOR_TYPE", "WORKER_HOSTNAMES"):
        monkeypatch.setenv(f"TPU_{name}", "")
    monkeypatch.setenv("ALLOW_MULTIPLE_LIBTPU_LOAD", "")
    with pytest.raises(
        TargetError, match=r"does not support such devices \(INVALID_ARGUMENT: Unknown topology v5e:3x7\)$"
    ):
        devices(parse("v5e:3x7"))


def test_a_card_that_can_be_planned_for_is_described():
    """In the file that the compiler reads: 132 multiprocessors of compute capability 9.0, 80 GB of memory."""
    cards = [name for name, device in DEVICES.items() if device.platform == "cuda"]
    assert cards == ["h100"]
    text = resources.files("maskrcnn_jax.plan").joinpath("h100.txtpb").read_text()
    fields = dict(re.findall(r"^\s*(\w+): (\S+)$", text, re.MULTILINE))
    assert fields["core_count"] == "132" and "cuda_compute_capability { major: 9 }" in text
    card = DEVICES["h100"]
    assert card.memory == 0.75 * int(fields["device_memory_size"])
    assert card.bandwidth == pytest.approx(float(fields["memory_bandwidth"]), rel=1e-3)


@pytest.mark.parametrize("name", [name for name in DEVICES if name != "cpu"])
def test_peaks_have_the_order_of_magnitude_of_accelerators(name: str):
    """A wrong unit would fail: hundreds of TFLOP/s, terabytes a second, tens of GB; more FLOPs than bytes."""
    device = DEVICES[name]
    assert 1e14 < device.flops < 1e16 and 5e11 < device.bandwidth < 1e13 and 1e10 < device.memory < 1e12
    assert 100 < device.flops / device.bandwidth < 1000
