"""From a COCO folder to AP: prepare, train, stop, resume, evaluate and predict, as in the README."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as rle
import pytest
from flax import nnx
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import CocoSource
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.evaluation.coco import METRICS, coco_metrics
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.training import metrics

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own

ROOT = Path(__file__).parents[2]
COCO_MINI = Path(os.environ["MASKRCNN_COCO_MINI"])
CONFIG = "configs/coco_mini.py"
STEPS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("coco_path")


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    """One device, as on a laptop, and a shared compilation cache."""
    flags = {"XLA_FLAGS": "--xla_backend_optimization_level=0", "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}
    return os.environ | flags


@pytest.fixture(scope="module")
def prepared(folder: Path, environment: dict[str, str]) -> Path:
    command = [sys.executable, "-m", "maskrcnn_jax", "prepare", str(COCO_MINI), "--out", str(folder / "data")]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "train: 26 images" in ended.stdout and "val: 25 images" in ended.stdout
    return folder / "data"


def overrides(prepared: Path) -> list[str]:
    """The experiment on smaller images, a few steps long."""
    data = [f"--data.{part}.folder={prepared}" for part in ("train", "validation")]
    size = ["--model.input.shortest-edge=128", "--model.input.longest-edge=160"]
    size += ["--model.input.buckets", "128", "160", "160", "128", "--data.buckets", "128", "160", "160", "128"]
    size += ["--data.shortest-edges", "128", "--data.longest-edge=160"]
    run = [f"--run.steps={STEPS}", "--run.log-every=1", "--run.evaluate-every=0", "--optimizer.warmup-steps=1"]
    return data + size + run


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    )


@pytest.fixture(scope="module")
def run(folder: Path, prepared: Path, environment: dict[str, str]) -> Path:
    """The folder of a run that was stopped after a step or two, and resumed to its end."""
    command = ["train.py", CONFIG, f"--run.folder={folder / 'run'}", *overrides(prepared)]
    process = start(environment, *command)
    deadline = time.monotonic() + 300
    while not metrics.read(folder / "run") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stderr
    stopped = int(re.search(r"stopped and saved at step (\d+)", stderr)[1])
    assert 1 <= stopped < STEPS
    process = start(environment, *command)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert f"resumed at step {stopped}" in stderr and str(folder / "run") in stdout
    return folder / "run"


def test_train_stop_resume_and_evaluate(run: Path, prepared: Path, environment: dict[str, str]):
    assert [record["step"] for record in metrics.read(run) if "loss" in record] == [*range(1, STEPS + 1)]
    at_the_end = json.loads((run / "metrics.json").read_text())
    read = [one for one in overrides(prepared) if one.startswith("--data.validation")]
    process = start(environment, "evaluate.py", CONFIG, "--checkpoint", str(run), *read)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    (evaluation,) = (run / "evaluation").iterdir()
    assert evaluation.name.startswith(f"step_{STEPS:06}_")
    scored = json.loads((evaluation / "metrics.json").read_text())
    assert scored == at_the_end == json.loads((run / "metrics.json").read_text())
    assert {f"{kind}/{name}" for kind in ("bbox", "segm") for name in METRICS} <= scored.keys()
    assert sum(name.startswith("segm/AP/") for name in scored) == 80
    assert "bbox  AP " in stdout and "segm  AP " in stdout
    for name in ("curves.png", "detections.png", "config.json", "detections.json"):
        assert (run / name).stat().st_size > 0
    assert load_pretrained(run).config.class_names[0] == "person"


def test_images_of_every_shape(prepared: Path):
    # Untrained scores are low; without threshold there are detections all the same.
    config = load_config(ROOT / CONFIG, ["--model.detect.score-threshold", "0"]).model
    source = CocoSource(prepared, "val").open()
    images = [source[i].image for i in range(3)]
    crop = np.ascontiguousarray(images[0][:50, :70])
    narrow = cv2.resize(images[1], (300, 1500))
    images += [crop, narrow]
    results = Predictor(MaskRCNN(config, rngs=nnx.Rngs(0)), batch_size=2)(images)
    for image, found in zip(images, results, strict=True):
        height, width = image.shape[:2]
        assert len(found.boxes) > 10
        assert found.masks is not None and found.masks.shape == (len(found.boxes), height, width)
        assert np.isfinite(found.boxes).all()
        assert (found.boxes >= 0).all() and (found.boxes <= [width, height, width, height]).all()


@pytest.fixture(scope="module")
def truth(prepared: Path) -> dict[str, Any]:
    return CocoSource(prepared, "val", keep_empty=True).open().coco()


def as_results(truth: dict[str, Any]) -> list[dict[str, Any]]:
    kept = ("image_id", "category_id", "bbox", "segmentation")
    return [{**{key: a[key] for key in kept}, "score": 0.9} for a in truth["annotations"] if not a["iscrowd"]]


def test_the_objects_themselves_score_one(truth: dict[str, Any]):
    scored = coco_metrics(truth, as_results(truth), masks=True)
    for kind in ("bbox", "segm"):
        assert all(scored[f"{kind}/{name}"] == 1.0 for name in ("AP", "AP50", "AP75", "APs", "APm", "APl"))


def disturbed(truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Objects shifted by a few pixels, some left out, some twice, some with another class."""
    rng, results = np.random.default_rng(0), []
    categories = [category["id"] for category in truth["categories"]]
    for result in as_results(truth):
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            dx, dy = rng.integers(-6, 7, 2).tolist()
            code = rle.encode(np.asfortranarray(np.roll(rle.decode(result["segmentation"]), (dy, dx), (0, 1))))
            x, y, width, height = result["bbox"]
            moved = {
                "bbox": [x + dx, y + dy, width, height],
                "segmentation": {"size": list(code["size"]), "counts": code["counts"].decode()},
                "score": round(float(rng.uniform(0.1, 1)), 2),
            }
            if rng.random() < 0.1:
                moved["category_id"] = int(rng.choice(categories))
            results.append(result | moved)
    return results


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_metrics_equal_pycocotools(truth: dict[str, Any], tmp_path: Path, kind: str):
    results = disturbed(truth)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    # With a box in the file pycocotools would take its area for the mask's.
    left_out = "segmentation" if kind == "bbox" else "bbox"
    with contextlib.redirect_stdout(io.StringIO()):
        official = COCO(str(tmp_path / "truth.json"))
        found = official.loadRes([{k: v for k, v in r.items() if k != left_out} for r in results])
        evaluation = COCOeval(official, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ours = coco_metrics(truth, results, masks=True)
    np.testing.assert_allclose([ours[f"{kind}/{name}"] for name in METRICS], evaluation.stats, rtol=0, atol=1e-12)
    assert 0.2 < ours[f"{kind}/AP"] < 0.9
