"""Several processes equal one. They run on this machine, in place of several hosts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import processes_of
import pytest
import together

from maskrcnn_jax.distributed.processes import gather, is_first
from maskrcnn_jax.evaluation import run as evaluate


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    """The output folder of two processes, and what each of them printed."""
    folder = tmp_path_factory.mktemp("together")
    outputs = processes_of.finish(processes_of.start("together.py", folder))
    return folder, [json.loads(output) for output in outputs]


def test_the_devices_of_a_process_are_adjacent(known):
    assert [one["devices"] for one in known[1]] == [[0, 0, 1, 1]] * 2


def test_every_process_gathers_the_entries_of_all(known):
    """One entry of the first process, two of the second, of another length."""
    expected = [{"from": 0, "é": []}] + [{"from": 1, "é": [0.5]}] * 2
    assert [one["gathered"] for one in known[1]] == [expected] * 2


def test_all_stop_after_the_same_step(known):
    """The second receives the signal in step 2; both stop one step later."""
    assert [one["stopped"] for one in known[1]] == [3, 3]


def test_an_evaluation_is_shared_and_gives_the_metrics_of_one_process(known, tmp_path, monkeypatch):
    folder, (first, second) = known
    monkeypatch.setattr(evaluate, "Detector", None)  # restored after `together.evaluated` replaces it
    alone = together.evaluated(tmp_path)
    assert first["metrics"] == second["metrics"] == alone
    assert 0 < alone["bbox/AR100"] < 1  # it finds half of the objects
    for name in ("detections.json", "metrics.json"):
        assert (folder / "0" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert not (folder / "1").exists()
    ids = [found["image_id"] for found in json.loads((tmp_path / "detections.json").read_text())]
    assert ids == sorted(ids) and set(ids) == set(range(1000, 1006))


def test_a_single_process_is_the_first_and_has_all_entries():
    assert is_first()
    assert gather([{"a": np.pi}]) == [{"a": np.pi}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1"}, "Number of processes must be defined"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1", "JAX_NUM_PROCESSES": "two"}, "'two'"),
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}, "coordinator_address should be defined"),
    ],
)
def test_incomplete_variables_are_named(given: dict[str, str], message: str):
    script = "from maskrcnn_jax.distributed.processes import join_processes; join_processes()"
    named = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUM")}
    ended = subprocess.run([sys.executable, "-c", script], env=named | given, capture_output=True, text=True)
    last = ended.stderr.splitlines()[-1]
    assert "ConfigError: this process could not join the others: " in last and message in last
    assert "or JAX_NUM_PROCESSES=1 to run this one alone" in last
    for name, value in given.items():
        assert f"{name}={value}" in last


def test_without_variables_a_process_runs_alone():
    script = (
        "from maskrcnn_jax.distributed.processes import *; import jax; join_processes(); print(jax.process_count())"
    )
    named = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUM")}
    ended = subprocess.run([sys.executable, "-c", script], env=named, capture_output=True, text=True)
    assert ended.stdout == "1\n", ended.stderr
