"""evaluate.py: what a checkpoint finds in every image of a data set, scored."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest
from named_source import NamedSource
from small import change
from whole_runs import TINY

from maskrcnn_jax.checkpoints.pretrained import build_model, load_pretrained, trained_config
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.cli.evaluate import main
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.evaluation import run as evaluate
from maskrcnn_jax.structs import Detections


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    main()


def test_a_checkpoint_gets_the_metrics_that_training_ended_with(
    finished_run: Path, copied_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    run_main(monkeypatch, TINY, "--checkpoint", copied_run)
    folder = copied_run / "evaluation" / "step_000040_shapes"
    assert capsys.readouterr().out.endswith(f"wrote {folder / 'metrics.json'}\n")
    metrics, expected = (json.loads((run / "metrics.json").read_text()) for run in (folder, finished_run))
    assert metrics == expected
    # Training compiled with the processes' own settings, so the last bits may differ.
    found, trained = (json.loads((run / "detections.json").read_text()) for run in (folder, finished_run))
    assert [(d["image_id"], d["category_id"]) for d in found] == [(d["image_id"], d["category_id"]) for d in trained]
    np.testing.assert_allclose([d["bbox"] for d in found], [d["bbox"] for d in trained], atol=1e-3)
    np.testing.assert_allclose([d["score"] for d in found], [d["score"] for d in trained], atol=1e-5)

    run_main(monkeypatch, TINY, "--checkpoint", copied_run, "--step", "20")
    earlier = json.loads((folder.with_name("step_000020_shapes") / "detections.json").read_text())
    assert [d["score"] for d in earlier] != [d["score"] for d in found]
    for name in ("metrics.json", "detections.json"):
        assert (copied_run / name).read_bytes() == (finished_run / name).read_bytes()


def test_numbers_of_detection_take_effect(copied_run: Path, monkeypatch: pytest.MonkeyPatch):
    found: list[dict] = []
    monkeypatch.setattr(evaluate, "write_evaluation", lambda _, results, *rest, **more: found.extend(results))
    before = json.loads((copied_run / "detections.json").read_text())
    threshold = float(np.median([one["score"] for one in before]))
    surer = Counter(one["image_id"] for one in before if one["score"] > threshold)
    assert max(surer.values()) > 2
    numbers = ("--model.detect.score-threshold", threshold, "--model.detect.count", 2)
    run_main(monkeypatch, TINY, "--checkpoint", copied_run, *numbers)
    assert Counter(one["image_id"] for one in found) == {image: min(number, 2) for image, number in surer.items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--checkpoint", "{run}/checkpoints"), "{run}/checkpoints/config.json: no such file; give a run folder"),
        (("--checkpoint", "{run}/metrics.json"), "{run}/metrics.json is no file of weights: it is text"),
        (("--checkpoint", "{run}/detections.json", "--trust-code"), "--trust-code: {run}/detections.json is no run fo"),
        (("--checkpoint", "{run}", "--step", "25"), "{run} holds no checkpoint of step 25; it holds [20, 30, 40]"),
        (
            ("--checkpoint", "{run}", "--model.fpn.channels", "24"),
            "{run}: these weights belong to another architecture:",
        ),
        (
            ("--checkpoint", "{run}", "--data.validation-batch-size", "6"),
            "data.validation_batch_size = 6: must be a multiple of the number of devices, 4",
        ),
        (("--checkpoint", "{run}", "--run.folder", "new"), "--run.folder: only training reads it, an evaluation does"),
        (("--checkpoint", "{run}", "--data.train.seed=3"), "--data.train.seed = 3: only training reads it"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    arguments: tuple[str, ...], message: str, finished_run: Path, monkeypatch: pytest.MonkeyPatch
):
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    with pytest.raises(SystemExit) as ended:
        run_main(monkeypatch, TINY, *(argument.format(run=finished_run) for argument in arguments))
    assert str(ended.value.code).startswith(f"error: {message.format(run=finished_run)}")
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")} == before


def test_a_detector_that_knows_the_objects_scores_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Six images in batches of four: the order of the batches and the images that fill the last one are right."""
    config = load_config(TINY)
    source = config.data.validation.open()
    examples = {source[i].image.tobytes(): source[i] for i in range(len(source))}

    def know(*arguments: object) -> Detections:
        images, slots = np.asarray(arguments[-2]), 4
        boxes, scores = np.zeros((len(images), slots, 4), np.float32), np.zeros((len(images), slots), np.float32)
        labels, masks = np.zeros((len(images), slots), np.int32), np.ones((len(images), slots, 28, 28), np.float32)
        for row, image in enumerate(images):
            truth = examples[image.tobytes()]
            count = len(truth.boxes)
            boxes[row, :count], labels[row, :count], scores[row, :count] = truth.boxes, truth.labels, 0.9
        return jax.device_put(Detections(boxes, scores, labels, scores > 0, masks))

    monkeypatch.setattr(evaluate, "Detector", lambda _: know)
    metrics = evaluate.evaluate(build_model(config), source, config, tmp_path, data_mesh())
    assert metrics["bbox/AP"] == 1.0 and metrics["bbox/AR100"] == 1.0
    # The masks fill their boxes: exact for squares that nothing occludes, and no other shape.
    assert metrics["segm/AP"] < 1.0
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    truth = {a["image_id"]: 0 for a in source.coco()["annotations"]}
    assert {d["image_id"] for d in json.loads((tmp_path / "detections.json").read_text())} == truth.keys()
    assert jax.sharding.get_abstract_mesh().empty  # nothing of the mesh stays behind


def test_classes_are_scored_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The data has squares, circles and triangles. This model has stars instead of squares, and another order."""
    config = change(load_config(TINY), model__class_names=("triangle", "star", "circle"), data__validation__count=12)
    source = config.data.validation.open()
    examples = {source[i].image.tobytes(): source[i] for i in range(len(source))}

    def know(*arguments: object) -> Detections:
        """Finds everything, and takes a square for a star."""
        images = np.asarray(arguments[-2])
        boxes, scores = np.zeros((len(images), 4, 4), np.float32), np.zeros((len(images), 4), np.float32)
        labels, masks = np.zeros((len(images), 4), np.int32), np.ones((len(images), 4, 28, 28), np.float32)
        for row, image in enumerate(images):
            truth = examples[image.tobytes()]
            count = len(truth.boxes)
            boxes[row, :count], scores[row, :count] = truth.boxes, 0.9
            labels[row, :count] = np.array([1, 2, 0])[truth.labels]
        return jax.device_put(Detections(boxes, scores, labels, scores > 0, masks))

    monkeypatch.setattr(evaluate, "Detector", lambda _: know)
    metrics = evaluate.evaluate(build_model(config), source, config, tmp_path, data_mesh())
    assert [metrics[f"bbox/AP/{name}"] for name in ("square", "circle", "triangle")] == [0.0, 1.0, 1.0]


def test_the_data_must_fit_the_model(caplog: pytest.LogCaptureFixture):
    config, source = load_config(TINY), NamedSource("cat", "dog", "owl")
    evaluate.check_compatible(config, source, devices=4)
    with pytest.raises(ConfigError, match=r"model.num_classes = 5: the data has 3 classes; set --model.num-classes 3"):
        evaluate.check_compatible(change(config, model__num_classes=5), source, devices=4)
    many = change(config, model__num_classes=5, model__class_names=("rat", "owl", "N/A", "cat", "dog"))
    evaluate.check_compatible(many, source, devices=4)
    assert not caplog.records
    few = change(config, model__num_classes=1, model__class_names=("dog",))
    evaluate.check_compatible(few, source, devices=4)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.message.endswith("so their AP is 0: cat, owl")
    with pytest.raises(
        ConfigError, match=r"model.class_names = 'a, b, c': .* none of these .*, but cat, dog, owl; evaluate on other"
    ):
        evaluate.check_compatible(change(config, model__class_names=("a", "b", "c")), source, devices=4)
    eighty = tuple(f"class {label}" for label in range(80))
    with pytest.raises(ConfigError, match=r"model.class_names = 'class 0, .*, class 9 and 70 more': "):
        evaluate.check_compatible(
            change(config, model__num_classes=80, model__class_names=eighty),
            source,
            devices=4,
        )


def test_a_file_of_weights_is_evaluated_as_its_run_is(
    finished_run: Path, copied_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The architecture, the conventions and the names of the classes are the file's own."""
    save_pretrained(load_pretrained(copied_run), tmp_path / "tiny.safetensors")
    run_main(monkeypatch, TINY, "--checkpoint", tmp_path / "tiny.safetensors")
    metrics, expected = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (tmp_path / "tiny.evaluation" / "shapes", finished_run)
    )
    assert metrics == expected
    assert trained_config(tmp_path / "tiny.safetensors").class_names == ("square", "circle", "triangle")


def test_the_table_names_the_main_metrics():
    boxes = {f"bbox/{name}": k / 10 for k, name in enumerate(evaluate.SUMMARY)}
    line = "bbox  AP 0.000  AP50 0.100  AP75 0.200  APs 0.300  APm 0.400  APl 0.500"
    assert evaluate.table(boxes) == line
    both = boxes | {name.replace("bbox", "segm"): value for name, value in boxes.items()}
    assert evaluate.table(both) == f"{line}\n{line.replace('bbox', 'segm')}"
