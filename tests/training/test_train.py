"""Runs to the end, stopped, killed and gone wrong: train.py as its user meets it."""

import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
import whole_runs
from named_source import NamedSource
from small import change
from whole_runs import TINY

from maskrcnn_jax.checkpoints.checkpoint import load_weights, steps
from maskrcnn_jax.cli.train import main
from maskrcnn_jax.config import Config, ConfigError, Phase
from maskrcnn_jax.config.loading import load_config, read_config, save_config
from maskrcnn_jax.evaluation.coco import METRICS
from maskrcnn_jax.evaluation.run import SUMMARY
from maskrcnn_jax.training import metrics
from maskrcnn_jax.training.loop import describe_phase, with_class_names
from maskrcnn_jax.training.progress import NonFiniteLoss, Progress
from maskrcnn_jax.training.run_folder import examine, only_writer, read_history

STEPS = 40


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def losses(folder: Path) -> list[dict[str, float]]:
    """The records of training, without those of evaluation; every figure with all its bits."""
    return [record for record in metrics.read(folder) if "loss" in record]


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_same_weights(a: Path, b: Path, step: int | None = None) -> None:
    ours, theirs = load_weights(a, step), load_weights(b, step)
    assert ours.step == theirs.step
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


def train_config(folder: Path, *overrides: str) -> Config:
    """The tiny experiment as it is trained in a folder."""
    config = load_config(TINY, ("--run.folder", str(folder), *overrides))
    sources = config.data.train.open(), config.data.validation.open()
    return with_class_names(config, *sources, devices=1)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str:
    """What the command line ends with, in this process: the message of its SystemExit."""
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return str(ended.value.code)


def wait_for(process, condition) -> None:
    """Returns when a condition holds, or the process has ended."""
    deadline = time.monotonic() + 200
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_finished_run_leaves_everything_behind(finished_run: Path):
    assert [record["step"] for record in losses(finished_run)] == [*range(1, STEPS + 1)]
    known = {"loss/mask", "loss/rpn_box", "gradient_norm", "learning_rate"}
    assert all(known <= record.keys() for record in losses(finished_run))
    values = json.loads((finished_run / "metrics.json").read_text())
    names = (*METRICS, "AP/square", "AP/circle", "AP/triangle")
    assert values.keys() == {f"{kind}/{name}" for kind in ("bbox", "segm") for name in names}
    assert metrics.read(finished_run)[-1] == {"step": STEPS, **values}
    found = json.loads((finished_run / "detections.json").read_text())
    assert found and all(1000 <= d["image_id"] < 1006 and d["category_id"] in (1, 2, 3) for d in found)
    assert all(len(d["bbox"]) == 4 and 0 <= d["score"] <= 1 and d["segmentation"]["size"] == [64, 64] for d in found)
    for image in ("curves.png", "detections.png"):
        assert cv2.imread(str(finished_run / image)) is not None
    assert steps(finished_run) == [20, 30, 40]
    assert list(finished_run.glob("events.out.tfevents*"))
    output = (finished_run / "output.txt").read_text()
    assert str(finished_run) in output and all(name in output for name in ("metrics.json", "curves.png", *SUMMARY))


def test_the_saved_configuration_is_the_experiment(finished_run: Path):
    saved, written = read_config(finished_run), load_config(TINY)
    assert saved.model.class_names == ("square", "circle", "triangle")
    model = dataclasses.replace(saved.model, class_names=())
    assert dataclasses.replace(saved, model=model, run=written.run) == written
    assert saved.run.folder == finished_run


def test_stopped_and_started_again_equals_never_stopped(finished_run: Path, tmp_path: Path):
    process = whole_runs.start(tmp_path)
    wait_for(process, lambda: losses(tmp_path))
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    stopped = int(re.search(r"stopped and saved at step (\d+)", stderr)[1])
    assert 1 < stopped < STEPS and steps(tmp_path)[-1] == stopped
    assert losses(tmp_path) == losses(finished_run)[:stopped]
    ended = whole_runs.train(tmp_path)
    assert ended.returncode == 0 and f"resumed at step {stopped}" in ended.stderr
    assert f"step {stopped + 1}: training parameters 'all' until step {STEPS}: 9" in ended.stderr
    assert losses(tmp_path) == losses(finished_run)
    assert_same_weights(tmp_path, finished_run)
    for name in ("metrics.json", "detections.json"):
        assert (tmp_path / name).read_bytes() == (finished_run / name).read_bytes()


def test_killed_again_and_again_equals_never_stopped(finished_run: Path, tmp_path: Path):
    """It is killed in the middle of a save, and then at a random moment."""

    def unfinished() -> list[Path]:
        return list(tmp_path.glob("checkpoints/*tmp*"))

    def kill(when) -> int:
        process = whole_runs.start(tmp_path, "--run.save-every", "1")
        wait_for(process, when)
        process.kill()
        _, stderr = process.communicate()
        assert process.returncode == -signal.SIGKILL, stderr
        return steps(tmp_path)[-1]

    saved = kill(lambda: unfinished() and steps(tmp_path))
    assert unfinished(), "it was not killed in the middle of a save"
    later = saved + random.Random(0).randint(2, 8)
    assert kill(lambda: later in steps(tmp_path)) >= later
    assert whole_runs.train(tmp_path).returncode == 0
    assert losses(tmp_path) == losses(finished_run)
    assert_same_weights(tmp_path, finished_run)


def test_a_loss_that_is_not_finite_stops_the_run_and_spoils_nothing(finished_run: Path, copied_run: Path):
    ended = whole_runs.train(
        copied_run, "--optimizer.learning-rate", "1e30", "--run.steps", "60", "--run.save-every", "2"
    )
    assert ended.returncode == 1
    message = ended.stderr.splitlines()[-1]
    # The rate spoils the weights in step 41, after its loss was found finite; step 42, which would be saved, shows it.
    assert re.match(r"error: step 42 is not finite: .*loss nan.*image ids \[\d+, \d+, \d+, \d+\]", message), message
    assert "lower optimizer.learning_rate" in message and "Traceback" not in ended.stderr
    assert steps(copied_run) == steps(finished_run)
    assert_same_weights(copied_run, finished_run)


def test_what_a_phase_trains_is_said():
    """Of 2 · 3 + 4 + 5 parameters in three arrays the backbone has 6 in one."""
    params = {"backbone.stem.kernel": np.ones((2, 3)), "fpn.bias": np.ones(4), "box_head.bias": np.ones(5)}
    config = change(load_config(TINY), optimizer__phases=(Phase("heads", until=10), Phase("all")))
    heads, everything = (describe_phase(config, phase, params) for phase in (0, 1))
    assert heads == "training parameters 'heads' until step 10: 2 of 3 arrays, 9 of 15 parameters"
    assert everything == "training parameters 'all' until step 40: 3 of 3 arrays, 15 of 15 parameters"


def test_values_are_checked_one_step_late_and_before_they_are_written(tmp_path: Path):
    with metrics.MetricWriter(tmp_path, total_steps=9) as writer:
        progress = Progress(writer, every=2)
        for step in range(1, 5):
            progress.add(step, {"loss": jnp.float32(step), "loss/box": jnp.float32(1)}, np.array([7, 8]))
        assert [record["step"] for record in metrics.read(tmp_path)] == [2]
        progress.catch_up()
        progress.catch_up()
        assert [record["step"] for record in metrics.read(tmp_path)] == [2, 4]
        progress.add(5, {"loss": jnp.float32(1), "loss/box": jnp.float32(np.inf)}, np.array([30, 31]))
        with pytest.raises(NonFiniteLoss, match=r"step 5 .*loss 1, loss/box inf; image ids \[30, 31\]"):
            progress.add(6, {"loss": jnp.float32(1), "loss/box": jnp.float32(1)}, np.array([7, 8]))
    assert [record["step"] for record in metrics.read(tmp_path)] == [2, 4]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("--model.fpn.channels", "24"), "model.fpn.channels: saved 16, given 24"),
        (("--run.seed", "5"), "run.seed: saved 0, given 5"),
        (("--init", "other.pth"), "run.init: saved None, given 'other.pth'"),
        (("--data.train.first", "7"), "data.train.first: saved 0, given 7"),
        (("--optimizer.name", "adamw"), "optimizer.name: saved 'sgd', given 'adamw'"),
        (("--optimizer.ema-decay", "None"), "optimizer.ema_decay: saved 0.9, given None"),
        (
            ("--data.train.kinds", "star", "ring", "cross", "--data.validation.kinds", "star", "ring", "cross"),
            "model.class_names: saved ('square', 'circle', 'triangle'), given ('star', 'ring', 'cross'); "
            "data.train.kinds: saved ('square', 'circle', 'triangle'), given",
        ),
    ],
)
def test_another_run_is_refused_and_changes_nothing(
    overrides: tuple[str, ...], message: str, copied_run: Path, monkeypatch: pytest.MonkeyPatch
):
    before = content(copied_run)
    ended = run_main(monkeypatch, TINY, "--run.folder", copied_run, "--run.steps", "50", *overrides)
    assert ended.startswith(f"error: {copied_run} holds another run: {message}")
    assert ended.endswith("Nothing was changed") and len(ended.splitlines()) == 1
    assert content(copied_run) == before


def test_a_finished_run_says_so_and_writes_nothing(
    copied_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    before = {path: path.stat().st_mtime_ns for path in copied_run.rglob("*")}
    monkeypatch.setattr(sys, "argv", ["train.py", str(TINY), "--run.folder", str(copied_run)])
    main()
    assert f"{copied_run}: finished at step 40; nothing to do. More --run.steps continue it" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in copied_run.rglob("*")} == before


def test_a_run_with_more_steps_continues_with_a_history_of_its_configurations(copied_run: Path):
    for step in ("30", "40"):  # as if it had been killed after step 20
        shutil.rmtree(copied_run / "checkpoints" / step)
    ended = whole_runs.train(
        copied_run, "--run.steps", "22", "--optimizer.learning-rate", "0.005", "--data.threads", "1"
    )
    assert ended.returncode == 0, ended.stderr
    said = "changed from step 20 on: data.threads 2 → 1, optimizer.learning_rate 0.01 → 0.005, run.steps 40 → 22"
    assert f"{copied_run}: {said}" in ended.stderr
    first, ended_first, second, ended_second = read_history(copied_run)
    assert (first["step"], ended_first["finished"], second["step"], ended_second["finished"]) == (0, 40, 20, 22)
    assert [entry["config"]["optimizer"]["learning_rate"] for entry in (first, second)] == [0.01, 0.005]
    assert read_config(copied_run).optimizer.learning_rate == 0.005
    assert len(list(copied_run.glob("events.out.tfevents*"))) == 1
    assert [record["step"] for record in metrics.read(copied_run)] == [*range(1, 23), 22]


def test_one_process_at_a_time_trains_in_a_folder(copied_run: Path, monkeypatch: pytest.MonkeyPatch):
    before = content(copied_run)
    with only_writer(copied_run):
        held = content(copied_run)
        message = run_main(monkeypatch, TINY, "--run.folder", copied_run, "--run.steps", "50")
        assert message.startswith(f"error: {copied_run} is being trained already: ")
        assert f"locked by process {os.getpid()}" in message
        assert content(copied_run) == held
    assert {name for name in before if before[name] != held[name]} == {"training.lock"}


def test_fewer_steps_than_are_done_are_refused(copied_run: Path, monkeypatch: pytest.MonkeyPatch):
    before = content(copied_run)
    message = run_main(monkeypatch, TINY, "--run.folder", copied_run, "--run.steps", "30")
    assert message.startswith("error: run.steps = 30: ") and "is at step 40" in message
    assert content(copied_run) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("--data.batch-size", "6"), "data.batch_size / run.accumulate = 6: must be a multiple of the number of devi"),
        (("--data.batch-size", "8", "--run.accumulate", "4"), "data.batch_size / run.accumulate = 2: must be a mult"),
        (("--data.validation-batch-size", "2"), "data.validation_batch_size = 2: must be a multiple of the number of"),
        (("--model.num-classes", "4"), "model.num_classes = 4: must be 3"),
        (("--optimizer.groups", "stem.conv", "0.1"), "optimizer.groups[0] = 'stem.conv' matches no parameter"),
        (("--optimizer.phases.0.trains", "head"), "optimizer.phases[0].trains = 'head' matches no parameter; give"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_before_anything_is_written(
    overrides: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    ended = run_main(monkeypatch, TINY, "--run.folder", folder, *overrides)
    assert ended.startswith(f"error: {message}")
    assert not folder.exists()


def test_the_data_must_fit_the_model():
    config = load_config(TINY)
    three, other = NamedSource("a", "b", "c"), NamedSource("a", "b", "d")
    assert with_class_names(config, three, three, devices=4).model.class_names == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"model.num_classes = 3: the data has 2 classes; set --model.num-classes 2"):
        with_class_names(config, NamedSource("a", "b"), NamedSource("a", "b"), devices=4)
    given = dataclasses.replace(config, model=dataclasses.replace(config.model, class_names=("a", "b", "c")))
    assert with_class_names(given, three, three, devices=4).model.class_names == ("a", "b", "c")
    message = r"model.class_names = \('a', 'b', 'c'\): labels count in the order .* leave it empty, or give a, c, b"
    with pytest.raises(ConfigError, match=message):
        with_class_names(given, NamedSource("a", "c", "b"), NamedSource("a", "c", "b"), devices=4)
    with pytest.raises(ConfigError, match=r"data.validation = .*must have the classes of training: a, b, c"):
        with_class_names(config, three, other, devices=4)
    with pytest.raises(ConfigError, match=r"data.validation = .*holds no image"):
        with_class_names(config, three, NamedSource("a", "b", "c", count=0), devices=4)


def test_masks_decide_which_checkpoint_is_the_best_only_where_there_are_any():
    boxes, data = change(load_config(TINY), model__mask_head=None), NamedSource("a", "b", "c")
    with pytest.raises(
        ConfigError, match=r"run\.best = 'segm/AP': must be a metric that an evaluation has: bbox/…, such as"
    ):
        with_class_names(boxes, data, data, devices=4)
    assert with_class_names(change(boxes, run__best="bbox/AP"), data, data, devices=4).run.best == "bbox/AP"


def test_without_arguments_it_says_how_it_is_used(monkeypatch: pytest.MonkeyPatch):
    usage = "python train.py CONFIG [--init RUN_OR_CHECKPOINT] [--section.field value …]"
    assert usage in run_main(monkeypatch)


def test_a_missing_experiment_ends_with_its_message_alone(monkeypatch: pytest.MonkeyPatch):
    message = run_main(monkeypatch, TINY.with_name("tinny.py"))
    assert message.startswith("error: ") and f"did you mean {TINY}?" in message


def test_only_a_run_that_begins_reads_the_weights_to_begin_with(
    copied_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gone = tmp_path / "gone.pth"
    message = run_main(monkeypatch, TINY, "--run.folder", tmp_path / "new", "--init", gone)
    assert re.match(r"error: run\.init = '.*gone\.pth': .* does not exist", message), message
    assert not (tmp_path / "new").exists()
    # A run that began with them needs them no more, whether or not they are named again.
    save_config(change(read_config(copied_run), run__init=gone), copied_run)
    for named in (("--init", gone), ()):
        resumption = examine(train_config(copied_run, *map(str, named), "--run.steps", "41"))
        assert (resumption.step, resumption.config.run.init) == (40, gone)


def test_a_platform_that_is_not_here_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(whole_runs.environment, "JAX_PLATFORMS", "cuda")
    ended = whole_runs.train(tmp_path)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1 and line.startswith("error: JAX_PLATFORMS = 'cuda': ")


def test_data_of_boxes_alone_trains_no_mask_head():
    masks, boxes = NamedSource("a", "b", "c"), NamedSource("a", "b", "c", has_masks=False)
    config = change(load_config(TINY), run__best="bbox/AP")
    for given, where in (((boxes, masks), "data.train"), ((masks, boxes), "data.validation")):
        with pytest.raises(ConfigError, match=rf"model.mask_head = .*must be None: {where} = .* has boxes alone"):
            with_class_names(config, *given, devices=4)
    assert with_class_names(change(config, model__mask_head=None), boxes, boxes, devices=4)
