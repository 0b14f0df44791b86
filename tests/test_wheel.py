"""The wheel, installed without a checkout: it contains everything that a user runs."""

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import whole_runs

ROOT = Path(__file__).parents[1]
TINY = (
    *("--model.input.shortest-edge", "64", "--model.input.longest-edge", "64", "--model.input.buckets", "64", "64"),
    *("--model.backbone.width", "8", "--model.fpn.channels", "16", "--model.box-head.fcs", "16"),
    *("--model.rpn.proposals.top-k", "16", "--model.rpn.proposals.train-top-k", "16"),
    *("--model.rpn.proposals.count", "8", "--model.rpn.proposals.train-count", "8"),
    *("--model.mask-head.convs", "1", "--model.mask-head.channels", "16", "--model.detect.score-threshold", "0"),
    *("--data.shortest-edges", "64", "--data.longest-edge", "64", "--data.buckets", "64", "64"),
    *("--data.batch-size", "4", "--data.validation.count", "4", "--data.validation-batch-size", "4"),
)
"""A small model for shapes: training takes seconds, and without a score threshold there are detections."""


class Installed(NamedTuple):
    """A fresh environment in which the wheel is installed."""

    environment: Path
    folder: Path
    """The working directory of commands: initially empty, outside any checkout."""

    @property
    def packages(self) -> Path:
        (found,) = self.environment.glob("lib/python*/site-packages")
        return found

    def run(self, program: str, *arguments: str) -> str:
        """Standard output of a program of the environment."""
        variables = {name: value for name, value in whole_runs.environment.items() if name != "PYTHONPATH"}
        variables["JAX_COMPILATION_CACHE_DIR"] = str(self.environment / "compiled")
        command = [str(self.environment / "bin" / program), *arguments]
        ended = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Its dependencies are those of the environment that runs the tests; the package itself is not."""
    base = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    building = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(base), str(ROOT)]
    subprocess.run([*pip, *building], check=True, timeout=120)
    (wheel,) = base.glob("*.whl")
    venv.create(base / "environment", symlinks=True)
    python = str(base / "environment" / "bin" / "python")
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", "--no-index", str(wheel)], check=True, timeout=120
    )
    (base / "user").mkdir()
    found = Installed(base / "environment", base / "user")
    # A .pth file in a folder that is named in a .pth file is not read, so an editable installation is not visible.
    dependencies = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (found.packages / "dependencies.pth").write_text("\n".join(dependencies))
    return found


def test_the_package_is_the_installed_one(installed: Installed):
    program = "import sys, maskrcnn_jax; print(maskrcnn_jax.__file__, maskrcnn_jax.__version__, *sys.path, sep='\\n')"
    file, version, *paths = installed.run("python", "-c", program).splitlines()
    assert Path(file) == installed.packages / "maskrcnn_jax" / "__init__.py"
    assert os.fspath(ROOT) not in paths
    assert installed.run("maskrcnn-jax", "--version") == f"maskrcnn-jax {version}\n"


def test_it_contains_types_and_experiments_and_nothing_else_of_the_checkout(installed: Installed):
    package = installed.packages / "maskrcnn_jax"
    assert (package / "py.typed").exists()
    ours = (path.relative_to(ROOT) for folder in ("maskrcnn_jax", "configs") for path in (ROOT / folder).rglob("*.*"))
    expected = {str(path).removeprefix("maskrcnn_jax/") for path in ours if "__pycache__" not in path.parts}
    shipped = (path.relative_to(package) for path in package.rglob("*.*"))
    assert {str(path) for path in shipped if "__pycache__" not in path.parts} == expected
    beside = {path.name for path in installed.packages.iterdir()}
    assert beside.isdisjoint({"tests", "configs", "benchmarks", "notebooks", "train.py", "evaluate.py"})


def test_experiments_are_listed_and_copied(installed: Installed):
    names = sorted(file.stem for file in (ROOT / "configs").glob("*.py"))
    _, *lines = installed.run("maskrcnn-jax", "configs").splitlines()
    assert [line.split()[0] for line in lines] == names
    installed.run("maskrcnn-jax", "configs", "--copy", "mask_rcnn_r50_fpn_3x", "--out", "mine.py")
    assert (installed.folder / "mine.py").read_text() == (ROOT / "configs" / "mask_rcnn_r50_fpn_3x.py").read_text()
    program = "import maskrcnn_jax as mr; print(mr.load_config('mine.py') == mr.load_config('mask_rcnn_r50_fpn_3x'))"
    assert installed.run("python", "-c", program) == "True\n"


def test_train_predict_evaluate_and_inspect(installed: Installed):
    steps = ("--run.steps", "3", "--run.evaluate-every", "0", "--optimizer.warmup-steps", "1")
    installed.run("maskrcnn-jax", "train", "shapes", *TINY, *steps)
    run = installed.folder / "runs" / "shapes"
    losses = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(record["step"] for record in losses) == 3

    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    cv2.imwrite(str(installed.folder / "image.png"), image)
    installed.run("maskrcnn-jax", "predict", "image.png", "--checkpoint", "runs/shapes", "--out", "found")
    (drawn,) = (installed.folder / "found").rglob("image*.png")
    assert cv2.imread(str(drawn)) is not None

    printed = installed.run(
        "maskrcnn-jax", "evaluate", "shapes", "--checkpoint", "runs/shapes", "--data.validation.count", "4"
    )
    (metrics,) = (run / "evaluation").rglob("metrics.json")
    assert re.search(r"^segm +AP ", printed, re.MULTILINE) and "bbox/AP" in json.loads(metrics.read_text())

    installed.run("maskrcnn-jax", "inspect", "weights", "runs/shapes", "--out", "page")
    assert list((installed.folder / "page").glob("*.html"))
