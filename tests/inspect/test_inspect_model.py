"""The steps of an image on its way through a network: which do not apply, and the command."""

import dataclasses
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from inspected import careless, image, seen, without_detections
from small import CONFIG, build

from maskrcnn_jax.__main__ import main
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.config import ShapesSource
from maskrcnn_jax.config.loading import load_config, save_config
from maskrcnn_jax.inspect.model.annotated import read_annotated
from maskrcnn_jax.inspect.model.inspected import InspectedImage, run_model
from maskrcnn_jax.inspect.model.report import inspect_model
from maskrcnn_jax.inspect.model.steps import (
    STEPS,
    anchor_targets,
    annotated_objects,
    class_masks,
    color_splash,
    errors,
    masks,
    overlaps,
    precision,
    recall,
)

TINY = Path(__file__).parents[1] / "configs" / "tiny.py"
MASKS = {masks, class_masks, color_splash}
OBJECTS = {annotated_objects, anchor_targets, recall, precision, overlaps, errors}


def left_out(network: InspectedImage) -> set:
    return {step for step in STEPS if step(network) is None}


def test_without_mask_head_and_objects_the_steps_that_need_them_are_left_out():
    assert left_out(careless()) == MASKS | OBJECTS


def test_objects_of_which_nothing_is_found():
    annotated = read_annotated(ShapesSource(image_size=64, first=2003, count=1).open(), 0, CONFIG)
    network = dataclasses.replace(seen(), trace=without_detections(seen().trace), annotated=annotated)
    assert left_out(network) == MASKS | {precision, overlaps}


def test_an_image_without_objects():
    source = ShapesSource(image_size=64, count=5).open()
    empty = source[1]._replace(
        boxes=np.zeros((0, 4), np.float32), labels=np.zeros(0, np.int32), is_crowd=np.zeros(0, bool), masks=[]
    )
    network = dataclasses.replace(seen(), annotated=read_annotated(source, 1, CONFIG)._replace(example=empty))
    assert left_out(network) == {anchor_targets, recall, precision, overlaps}
    step = errors(network)
    assert step is not None
    kinds = {kind: number for kind, number, _ in step.tables[0].entries}
    assert kinds == {"on nothing": CONFIG.model.detect.count}  # with random weights it finds all that it may


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return save_pretrained(build(), folder / "model.safetensors")[0]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr("maskrcnn_jax.inspect.page.DPI", 36)  # small images are written sooner
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", "inspect", "model", *map(str, arguments)])
    main()


def test_the_command_on_an_image_of_the_user(checkpoint: Path, tmp_path: Path, monkeypatch, capsys):
    """A strip that is no higher than a cell."""
    strip = np.random.default_rng(0).integers(0, 256, (3, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "mine.png"), strip[..., ::-1])
    run(monkeypatch, checkpoint, "--image", tmp_path / "mine.png", "--out", tmp_path / "page")
    found = run_model(build(), strip).trace
    assert capsys.readouterr().out == (
        f"{found.proposals.valid.sum()} proposals, {found.detections.valid.sum()} detections: "
        f"{tmp_path / 'page' / 'index.html'}\n"
    )
    page = tmp_path / "page" / "index.html"
    assert page.read_text().count("<section ") == len(STEPS) - len(OBJECTS)


def test_the_command_on_an_image_of_the_data(checkpoint: Path, tmp_path: Path, monkeypatch, capsys):
    changed = ("--", "--data.validation.first", "2000")
    which = ("--data", TINY, "--image-id", "000000002003.png")
    run(monkeypatch, checkpoint, *which, "--images", 2, "--out", tmp_path / "page", *changed)
    page = tmp_path / "page" / "index.html"
    assert page.read_text().count("<section ") == len(STEPS) + 1
    assert "3 of 6, id 2003" in page.read_text()


def test_the_data_of_a_run_folder(checkpoint: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("maskrcnn_jax.inspect.model.report.model_steps", lambda *_: ())
    save_config(load_config(TINY), tmp_path)
    _, seen = inspect_model(checkpoint, tmp_path / "page", data=tmp_path, image_id=1004)
    assert seen.annotated is not None and seen.annotated.example.image_id == 1004
    np.testing.assert_array_equal(seen.image, load_config(TINY).data.validation.open()[4].image)
    assert seen.annotated.config.model == CONFIG.model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"model\.safetensors names no data: give an image with --image, or a configuration with --data"),
        (("--data", TINY, "--image-id", "6"), r"image_id = 6: .* it has 6, from 1000 to 1005"),
        (("--data", TINY, "--image", "text.jpg"), r"image = text\.jpg and data = .*tiny\.py: .* not both"),
        (("--image-id", "3", "--image", "text.jpg"), r"image = text\.jpg and image_id = 3: .* not both"),
        (("--image", "text.jpg"), r"text\.jpg: not an image but text"),
        (("--image", "absent.jpg"), r"absent\.jpg: No such file or directory; check the path$"),
        (("--image", "."), r"\.: is a folder, not a regular file; give a file$"),
        (("--image", "text.jpg", "--images", "3"), r"image = text\.jpg and images = 3: .* not both"),
        (("--image", "text.jpg", "--", "--data.threads", "2"), r"overrides = --data\.threads 2: .* not both"),
        (("--data", TINY, "--images", "-1"), r"images = -1: must be 0 or more"),
        (("--data", "absent.py"), r"absent\.py: no such file"),
        (("--", "--data.threads", "2"), r"--data\.threads 2: changes a configuration; name its file with --data"),
        (("--data", TINY, "--", "--data.validation.count", "0"), r"data\.validation\.count"),
        (("--step", "3", "--data", TINY), "step = 3: only run folders have steps"),
    ],
)
def test_bad_input_gets_its_line(checkpoint: Path, tmp_path: Path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("no image")
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        run(monkeypatch, checkpoint, "--out", "page", *arguments)
    assert not Path("page").exists()


def test_a_folder_with_other_files_is_left_alone(checkpoint: Path, tmp_path: Path, monkeypatch):
    cv2.imwrite(str(tmp_path / "mine.png"), image()[..., ::-1])
    with pytest.raises(SystemExit, match="holds files that are not a report"):
        run(monkeypatch, checkpoint, "--image", tmp_path / "mine.png", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
