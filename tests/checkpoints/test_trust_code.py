"""No command runs code that a run folder names, unless the user says so."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from whole_runs import TINY

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints
from maskrcnn_jax.checkpoints.pretrained import build_model
from maskrcnn_jax.cli import evaluate
from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.config.loading import load_config, save_config
from maskrcnn_jax.training.step import start

EXPERIMENT = """
from dataclasses import replace
from pathlib import Path
from maskrcnn_jax.config.loading import load_config

Path(__file__).with_name("ran").touch()

def same(model):
    return model

config = replace(load_config({tiny!r}), customize=same)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `experiment.py`, which leaves a trace when it runs, its `run` and an image."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "experiment.py").write_text(EXPERIMENT.format(tiny=str(TINY)))
    config = load_config(folder / "experiment.py", ("--run.folder", str(folder / "run")))
    with Checkpoints(config.run.folder, keep=1) as checkpoints:
        checkpoints.save(1, start(build_model(config), config)[0])
    save_config(config, config.run.folder)
    cv2.imwrite(str(folder / "a.png"), np.zeros((64, 64, 3), np.uint8))
    return folder


@pytest.fixture
def folder(trained: Path) -> Path:
    (trained / "ran").unlink(missing_ok=True)
    return trained


COMMANDS = {
    "predict": ("predict", "{folder}/a.png", "--checkpoint", "{folder}/run", "--out", "{out}"),
    "convert": ("convert", "{folder}/run", "{out}.safetensors", "--to", "safetensors"),
    "export": ("export", "{folder}/run", "--out", "{out}.stablehlo", "--platforms", "cpu", "--batch", "1"),
    "inspect model": ("inspect", "model", "{folder}/run", "--out", "{out}", "--image", "{folder}/a.png"),
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", *map(str, arguments)])
    main()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_the_code_of_a_run_folder(
    command: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    arguments = [argument.format(folder=folder, out=tmp_path / "out") for argument in COMMANDS[command]]
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    (line,) = str(ended.value).splitlines()
    name = f"{folder / 'experiment.py'}:same"
    assert line.startswith(
        f"error: {folder / 'run' / 'config.json'}: customize = {name!r} is code outside maskrcnn_jax"
    )
    assert "--trust-code" in line and not (folder / "ran").exists()


def test_a_trusted_folder_is_converted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out.safetensors"
    run(monkeypatch, "convert", folder / "run", out, "--to", "safetensors", "--trust-code")
    assert out.exists() and (folder / "ran").exists()


def test_weights_are_inspected_without_code(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run(monkeypatch, "inspect", "weights", folder / "run", "--out", tmp_path / "out")
    assert not (folder / "ran").exists()


def test_evaluation_takes_the_code_of_the_users_own_experiment_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: {})

    def score(*arguments: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments), "--checkpoint", str(folder / "run")])
        evaluate.main()

    with pytest.raises(SystemExit, match=r"experiment\.py:same' is code outside maskrcnn_jax"):
        score(TINY)
    assert not (folder / "ran").exists()
    for arguments in ((folder / "experiment.py",), (TINY, "--trust-code")):
        score(*arguments)
        assert (folder / "ran").exists()
        (folder / "ran").unlink()
    shutil.rmtree(folder / "run" / "evaluation")
