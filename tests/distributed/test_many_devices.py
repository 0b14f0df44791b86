"""One run on one device, on four, and on two processes of two devices: the same losses."""

import shutil
from pathlib import Path

import jax
import numpy as np
import processes_of
import pytest
import steady_run
from jax.sharding import AxisType, Mesh

from maskrcnn_jax.checkpoints.checkpoint import load_weights, steps
from maskrcnn_jax.training import metrics

FLOAT_ERROR = 3e-6
"""Twenty float32 rounding errors: sums over the batch are in another order."""


def losses(folder: Path) -> dict[str, list[float]]:
    """The losses of all steps by name."""
    records = [record for record in metrics.read(folder) if "loss" in record]
    assert [record["step"] for record in records] == [*range(1, steady_run.STEPS + 1)]
    return {name: [record[name] for record in records] for name in records[0] if name.startswith("loss")}


def one_device(_: int) -> Mesh:
    return Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def assert_same(a: Path, b: Path) -> None:
    ours, theirs = losses(a), losses(b)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=FLOAT_ERROR, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one device; two processes train at the same time, in the folder beside it."""
    folder = tmp_path_factory.mktemp("runs")
    processes = processes_of.start("steady_run.py", folder / "two_processes")
    steady_run.run(folder / "alone", one_device)
    processes_of.finish(processes)
    return folder / "alone"


def test_two_processes_of_two_devices_equal_one_device(alone: Path):
    assert_same(alone.parent / "two_processes", alone)
    ours, theirs = load_weights(alone.parent / "two_processes"), load_weights(alone)
    for name, value in theirs.params.items():
        np.testing.assert_allclose(ours.params[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_run_of_two_processes_resumes_in_one_with_four_devices(alone: Path, tmp_path: Path):
    """Its first ten steps are those of the two processes, the others are trained on this process's four devices."""
    shutil.copytree(alone.parent / "two_processes", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "20")
    steady_run.run(tmp_path / "run")
    assert steps(tmp_path / "run") == [10, 20]
    assert_same(tmp_path / "run", alone)
