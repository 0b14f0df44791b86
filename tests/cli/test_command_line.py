import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small import build, change

from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.config import CocoSource, Config, ResNet
from maskrcnn_jax.config.loading import save_config
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.training.metrics import MetricWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of one image with one object."""
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
    assert "train: 1 image (0 without objects)\n  1 object: thing 1\n" in capsys.readouterr().out
    assert len(CocoSource(tmp_path / "out").open()) == 1


def test_prepare_of_one_annotation_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    annotations = folder / "annotations" / "instances_train.json"
    run(monkeypatch, "prepare", annotations, "--images", folder / "train", "--out", tmp_path / "out")
    assert len(CocoSource(tmp_path / "out").open()) == 1


def test_bad_input_ends_with_its_message_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "train" / "a.png").unlink()
    with pytest.raises(SystemExit, match=r"^error: .*instances_train\.json:\s+images that are missing, .*: a\.png"):
        run(monkeypatch, "prepare", folder, "--out", tmp_path / "out")


def test_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    for name in ("a", "b"):
        with MetricWriter(tmp_path / name, total_steps=2) as writer:
            writer.write(1, {"loss": 2.0, "segm/AP": 0.5})
    run(monkeypatch, "curves", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c.png", "--metrics", "segm/AP")
    assert capsys.readouterr().out == f"wrote {tmp_path / 'c.png'}\n"
    assert cv2.imread(str(tmp_path / "c.png")) is not None
    with pytest.raises(SystemExit, match=r"error: 'loss' is recorded in none of .*nowhere; there is nothing"):
        run(monkeypatch, "curves", tmp_path / "nowhere", "--out", tmp_path / "d.png")
    with pytest.raises(SystemExit, match=r"error: .*/a: Is a directory; name a file$"):
        run(monkeypatch, "curves", tmp_path / "a", "--out", tmp_path / "a", "--metrics", "loss")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small model of torchvision's kind in our own file."""
    config = change(
        CONVENTIONS,
        num_classes=2,
        class_names=("cat", "dog"),
        backbone=ResNet(depth=18, width=8),
        fpn__channels=16,
        box_head__fcs=(32,),
        mask_head=None,
    )
    return save_pretrained(build(config), tmp_path / "model.safetensors")[0]


def test_convert(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """To torchvision and back again: the names of the classes are in the Python file alone."""
    run(monkeypatch, "convert", weights, tmp_path / "there.pth")
    assert capsys.readouterr().out == f"wrote {tmp_path / 'there.pth'} and {tmp_path / 'there.py'}\n"
    assert '"__background__", "cat", "dog"' in (tmp_path / "there.py").read_text()
    run(monkeypatch, "convert", tmp_path / "there.pth", tmp_path / "back.safetensors")
    first, last = (load_pretrained(path) for path in (weights, tmp_path / "back.safetensors"))
    assert last.config == change(first.config, class_names=())
    assert all((a == b).all() for a, b in zip(*(flatten(model)[1].values() for model in (first, last)), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.pth", "out.pth"), "nothing.pth does not exist; give the path of a file of weights"),
        ((".", "out.pth"), "config.json: no such file; give a run folder"),
        (("model.safetensors", "no/folder/out.pth"), "no/folder/out.pth: No such file or directory; check the path"),
        (("model.safetensors", "."), ": Is a directory; name a file"),
        (("model.safetensors", "model.safetensors/out.pth"), ": Not a directory; name a path through folders alone"),
    ],
)
def test_convert_of_nothing_ends_with_a_line(
    arguments: tuple[str, str], message: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, out = arguments
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "convert", tmp_path / source, "--to", "torchvision", tmp_path / out)
    assert message in str(ended.value) and str(ended.value).startswith("error: ")
    assert len(str(ended.value).splitlines()) == 1


def test_convert_of_a_folder_without_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_config(Config(), tmp_path)
    with pytest.raises(SystemExit, match=r"error: .*holds no checkpoint"):
        run(monkeypatch, "convert", tmp_path, "--to", "safetensors", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        (
            "out.safetensors",
            "torchvision",
            r"a file of torchvision \(\.pth or \.pt\), not \.safetensors; name it .*out\.pth$",
        ),
        ("out.onnx", "torchvision", r"not \.onnx; name it .*out\.pth$"),
        ("out.pth", "safetensors", r"a file of safetensors \(\.safetensors\), not \.pth; name it .*out\.safetensors$"),
        ("out", "safetensors", r"a file of safetensors \(\.safetensors\); name it .*out\.safetensors$"),
    ],
)
def test_convert_writes_what_the_ending_says(
    name: str, to: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before it looks for the model, which is not there."""
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, "convert", tmp_path / "nothing", "--to", to, tmp_path / name)


@pytest.mark.parametrize("command", ["convert", "export"])
def test_no_file_is_overwritten_unless_asked(
    command: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, second, more = {
        "convert": ("train.pth", "train.py", ("--to", "torchvision")),
        "export": ("train.stablehlo", "train.stablehlo.json", ("--platforms", "cpu", "--size", "64", "64")),
    }[command]
    place = (tmp_path / out,) if command == "convert" else ("--out", tmp_path / out)
    (tmp_path / second).write_text("mine")
    with pytest.raises(SystemExit, match=rf"{second}: exists and is not overwritten; remove it, or name"):
        run(monkeypatch, command, weights, *place, *more)
    assert (tmp_path / second).read_text() == "mine" and not (tmp_path / out).exists()
    run(monkeypatch, command, weights, *place, *more, "--overwrite")
    assert (tmp_path / second).read_text() != "mine" and (tmp_path / out).exists()


@pytest.mark.parametrize("name", ["model.onnx", "model.pb", "model.tflite", "model.pt", "model.engine", "model"])
def test_export_refuses_formats_that_it_does_not_write(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        SystemExit, match=r"is a StableHLO program, serialised by jax\.export .*; name it .*model\.stab"
    ):
        run(monkeypatch, "export", tmp_path / "nothing", "--out", tmp_path / name)


def test_curves_are_a_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with MetricWriter(tmp_path / "$x_{$", total_steps=2) as writer:
        writer.write(1, {"loss": 2.0})
    with pytest.raises(SystemExit, match=r"what is written is a PNG \(\.png\), not \.jpg; name it .*c\.png"):
        run(monkeypatch, "curves", tmp_path / "$x_{$", "--out", tmp_path / "c.jpg", "--metrics", "loss")
    run(monkeypatch, "curves", tmp_path / "$x_{$", "--out", tmp_path / "c.png", "--metrics", "loss")
    assert cv2.imread(str(tmp_path / "c.png")) is not None


def test_help_names_the_commands():
    ended = subprocess.run([sys.executable, "-m", "maskrcnn_jax", "--help"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and "prepare" in ended.stdout and "convert" in ended.stdout


def test_export_finds_out_first_that_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Before it looks for the model, which is not there either."""
    with pytest.raises(SystemExit, match=r"no/model\.stablehlo: No such file or directory; check the path"):
        run(monkeypatch, "export", tmp_path / "nothing", "--out", tmp_path / "no" / "model.stablehlo")
