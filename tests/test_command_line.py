import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrcnn_jax.__main__ import main
from maskrcnn_jax.config import CocoSource
from maskrcnn_jax.data import open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of one picture with one object."""
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 9}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    for name in ("annotations", "train"):
        (tmp_path / "coco" / name).mkdir(parents=True)
    (tmp_path / "coco" / "annotations" / "instances_train.json").write_text(json.dumps(content))
    cv2.imwrite(str(tmp_path / "coco" / "train" / "a.png"), np.zeros((8, 9, 3), np.uint8))
    return tmp_path / "coco"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", *map(str, arguments)])
    main()


def test_prepare(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    run(monkeypatch, "prepare", folder, "--out", tmp_path / "out", "--splits", "train")
    assert capsys.readouterr().out == f"train: 1 images in {tmp_path / 'out'}\n"
    assert len(open_source(CocoSource(tmp_path / "out"))) == 1


def test_prepare_of_one_annotation_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    annotations = folder / "annotations" / "instances_train.json"
    run(monkeypatch, "prepare", annotations, "--images", folder / "train", "--out", tmp_path / "out")
    assert len(open_source(CocoSource(tmp_path / "out"))) == 1


def test_bad_input_ends_with_its_message_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "train" / "a.png").unlink()
    with pytest.raises(SystemExit, match=r"error: .*\n  images that cannot be used: a\.png: missing"):
        run(monkeypatch, "prepare", folder, "--out", tmp_path / "out")


def test_help_names_the_commands():
    ended = subprocess.run([sys.executable, "-m", "maskrcnn_jax", "--help"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and "prepare" in ended.stdout
