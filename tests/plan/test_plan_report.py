"""The tiny network planned for CPU devices, which are present: the plan can be compared with what runs."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from small import CONFIG, build, change, mixed

from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.model import mask_rcnn as model
from maskrcnn_jax.plan import report
from maskrcnn_jax.plan.compiled import CompiledProgram, TooLarge, compile_program
from maskrcnn_jax.plan.programs import Program, train_batch, train_program, train_state
from maskrcnn_jax.plan.report import make_plan
from maskrcnn_jax.plan.targets import DEVICES, GIB, Target, parse
from maskrcnn_jax.training.step import start

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "configs" / "tiny.py"


def forms(tree) -> list:
    return [(jax.tree_util.keystr(path), x.shape, x.dtype) for path, x in jax.tree_util.tree_leaves_with_path(tree)]


def test_programs_take_what_training_gives_them():
    assert forms(train_batch(CONFIG, 4)) == forms(mixed())
    assert forms(train_state(CONFIG)[0]) == forms(start(build(), CONFIG)[0])


def test_the_largest_bucket_is_planned():
    config = change(CONFIG, data__buckets=((64, 64), (64, 96), (96, 64)))
    assert train_batch(config, 2).images.shape == (2, 64, 96, 3)


def test_large_weights_are_planned_with_the_sharding_of_training():
    """Of the first layer of the box head, 7 · 7 · 16 × 2048 numbers, two devices hold a half each."""
    config = change(CONFIG, run__fsdp=2, model__box_head__fcs=(2048,))
    program = train_program(config, data_mesh(2, jax.devices()[:2]), 1)
    found = {name: x.sharding.shard_shape(x.shape) for name, x in program.parts["parameters"].items()}
    whole = {name: x.shape for name, x in program.parts["parameters"].items()}
    assert {name for name in whole if found[name] != whole[name]} == {"box_head.fcs.0.kernel"}
    assert whole["box_head.fcs.0.kernel"] == (784, 2048) and found["box_head.fcs.0.kernel"] == (784, 1024)
    groups = compile_program(program, {}).collectives
    assert [group.bytes for group in groups if group.purposes == ("weights",)] == [784 * 2048 * 4]
    expected = {"gradients", "losses", "norm statistics", "weights", "norm of the gradient"}
    assert {purpose for group in groups for purpose in group.purposes} == expected


@pytest.fixture(scope="module")
def plan():
    """With all slots of the mask head at once, as on accelerators: XLA would count one group of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "apply_to_valid", lambda head, x, _: head(x))
        return make_plan(CONFIG, parse("cpu:4"))


def bytes_of(tree) -> int:
    return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def test_memory_of_each_part(plan):
    """One of the batch's four images on each device; everything else whole. SGD keeps one number per parameter."""
    state, _ = start(build(), CONFIG)
    memory = plan.train.memory
    assert plan.train.images == 1 and plan.seen == {1: plan.train.total}
    assert memory["parameters"] == memory["optimizer"] == memory["moving average"] == bytes_of(state.params)
    assert memory["statistics"] == bytes_of(state.statistics)
    assert memory["batch"] == bytes_of(mixed()) // 4
    # CPUs have no tiles. The step counter is all else that goes in, and takes the place of the image's id, which the
    # step does not read; the metrics are the only results that do not overwrite the old state.
    assert memory["filling of tiles"] == 0
    assert 0 < memory["results"] < 4096
    assert memory["activations, gradients, temporaries"] > bytes_of(state.params)


def test_arithmetic_of_the_train_step(plan):
    """XLA's count has the same products, and element-wise operations: a large share in so narrow a network."""
    assert 0 < 1 - plan.train.model_flops / plan.train.flops < 0.25
    assert 0 < 1 - plan.predict.model_flops / plan.predict.flops < 0.25


def test_only_gradients_losses_and_statistics_cross_the_devices(plan):
    found = plan.train.collectives
    assert {group.kind for group in found} == {"all-reduce"} and not any(group.looped for group in found)
    assert {purpose for group in found for purpose in group.purposes} == {"gradients", "losses", "norm statistics"}
    # Gradients of all parameters, and those of the pyramid's shared head once per level at most.
    parameters = plan.train.memory["parameters"]
    sent = sum(group.bytes for group in found if "gradients" in group.purposes)
    assert parameters <= sent < 2 * parameters
    assert plan.predict.collectives == []


class Fake:
    """In place of a lowered program: compiles to nothing, or fails as libtpu does."""

    def __init__(self, message: str):
        self.message = message

    def compile(self, compiler_options):
        raise jax.errors.JaxRuntimeError(self.message)


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
        "Used 17.50G of 15.75G hbm. Exceeded hbm capacity by 1.75G.",
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (17.50G) exceeds "
        "available HBM (15.75G).",
    ],
)
def test_a_program_that_is_too_large_for_a_tpu(message: str):
    with pytest.raises(TooLarge, match=r"needs 17\.50 GiB") as found:
        compile_program(Program(Fake(message), {}, 1, (8, 8), 1.0), {})
    assert found.value.needed == 17.5 * GIB


def test_other_errors_of_the_compiler_pass():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        compile_program(Program(Fake("INTERNAL: no"), {}, 1, (8, 8), 1.0), {})


def compiled(images: int, total: int) -> CompiledProgram:
    return CompiledProgram(images, (64, 64), {"batch": total}, 2.0, 1.0, 1.0, [], 0.0)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Programs of 1 GiB and 2 GiB per image that are not compiled; the batches that were asked for."""
    asked: list[int] = []

    def compile_step(program: int, options: dict) -> CompiledProgram:
        asked.append(program)
        if program > 12:
            raise TooLarge(GIB + 2 * GIB * program)
        return compiled(program, GIB + 2 * GIB * program)

    monkeypatch.setattr(report, "train_program", lambda config, mesh, images: images)
    monkeypatch.setattr(report, "predict_program", lambda config, mesh, images: images)
    monkeypatch.setattr(report, "compile_program", compile_step)
    return asked


def target(memory: int) -> Target:
    return Target(dataclasses.replace(DEVICES["cpu"], memory=memory), "cpu:2", 2)


def test_the_search_begins_with_the_configured_batch(steps: list[int]):
    """Four images on two devices: 2, then 4, then what fits: 1 + 2 n ≤ 20 for n = 9. Prediction follows."""
    config = change(CONFIG, data__validation_batch_size=10)
    found = make_plan(config, target(20 * GIB))
    assert steps == [2, 4, 9, 5]
    assert found.train == compiled(9, 19 * GIB) and found.predict == compiled(5, 11 * GIB)
    assert found.seen == {2: 5 * GIB, 4: 9 * GIB, 9: 19 * GIB}


def test_a_batch_that_is_asked_for_is_the_only_one(steps: list[int]):
    found = make_plan(CONFIG, target(20 * GIB), batch=7)
    assert steps[:-1] == [7] and found.train == compiled(7, 15 * GIB)


def test_a_batch_that_does_not_compile(steps: list[int]):
    found = make_plan(CONFIG, target(20 * GIB), batch=13)
    assert found.train is None and found.seen == {13: 27 * GIB}


def test_of_accumulated_batches_one_is_planned(steps: list[int]):
    """Four images on two devices in two parts: one at a time."""
    make_plan(change(CONFIG, run__accumulate=2), target(20 * GIB))
    assert steps[0] == 1


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", "plan", *map(str, arguments)])
    main()


def test_command(steps: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    run(
        monkeypatch, TINY, "--target", "cpu:2", "--batch", "3", "--out", tmp_path / "plan.json", "--", "--run.seed", "7"
    )
    assert re.search(r"\b3\b.*\b64 × 64\b", capsys.readouterr().out)
    assert json.loads((tmp_path / "plan.json").read_text())["train"]["images"] == 3


def test_the_command_starts_as_many_cpu_devices_as_the_target_has():
    script = """
import sys
from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.plan import report

def found(config, target, batch):
    print(len(report.devices(target)))
    sys.exit(0)

report.make_plan = found
main()
"""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    ended = subprocess.run(
        [sys.executable, "-c", script, "plan", str(TINY), "--target", "cpu:3"],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, "3\n"), ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "v9"), "error: target = 'v9': 'v9' is not known; give v5e"),
        (("--target", "cpu:2", "--batch", "0"), "error: batch = 0: must be at least 1"),
        (("--target", "cpu:2", "--out", "no/plan.json"), "error: no/plan.json: No such file or directory; check the"),
    ],
)
def test_errors_are_one_line(arguments: tuple, message: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match=re.escape(message)):
        run(monkeypatch, TINY, *arguments)
