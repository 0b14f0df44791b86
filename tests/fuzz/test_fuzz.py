"""Damaged inputs end in a result or a named error; what is not damaged is read."""

import json
import os
import random
import shutil
from pathlib import Path

import data_sets
import fuzz_data
import fuzz_runs
import fuzz_weights
import pytest
import run

from maskrcnn_jax.checkpoints.convert.rules import ConversionError

COUNT = 240


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def test_damaged_inputs_end_in_a_result_or_a_named_error(tmp_path: Path, capsys: pytest.CaptureFixture):
    workers = min(2, os.cpu_count() or 1)
    wrong = run.report(run.fuzz(range(COUNT), 0, tmp_path, workers=workers), 0)
    assert not wrong, capsys.readouterr().out


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", data_sets.FORMATS)
def test_the_data_sets_are_read_before_they_are_damaged(kind: str, seed: int, tmp_path: Path):
    (tmp_path / "options.json").write_text(json.dumps({}))
    data_sets.FORMATS[kind](random.Random(seed), tmp_path / "data")
    fuzz_data.read(tmp_path)


def test_the_run_folder_is_read_before_it_is_damaged(tmp_path: Path):
    shutil.copytree(fuzz_runs.whole_run(), tmp_path / "run")
    fuzz_runs.read_run(tmp_path)


@pytest.mark.parametrize("name", fuzz_weights.WHOLE)
def test_the_weight_files_are_read_before_they_are_damaged(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(fuzz_weights.whole(name))
    if name in ("ours.safetensors", "detectron2.pkl", "matterport.h5"):
        fuzz_weights.read(tmp_path)
    else:  # arrays of no model: all are read, and then no system is found
        with pytest.raises(ConversionError, match="unrecognised checkpoint format"):
            fuzz_weights.read(tmp_path)
