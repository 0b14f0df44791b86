"""Run folders whose files are damaged, through all that reads a run; and configurations from the command line."""

import dataclasses
import functools
import json
import shutil
import tempfile
from pathlib import Path
from random import Random

import jax.numpy as jnp
from fuzz_target import FuzzTarget
from mutations import NUMBERS, TEXTS, damage_a_file, damaged_bytes, damaged_tree, files_in, written_json
from small import CONFIG, build, change
from whole_runs import TINY

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints, steps
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import Config
from maskrcnn_jax.config.loading import load_config, read_config, save_config
from maskrcnn_jax.config.serialization import to_json
from maskrcnn_jax.training import metrics
from maskrcnn_jax.training.step import start

EXPERIMENT = change(CONFIG, run__folder=Path("runs/mine"), run__steps=90_000)


@functools.cache
def whole_run() -> Path:
    """A run folder with two checkpoints; lives as long as the process."""
    folder = Path(tempfile.mkdtemp(dir=".")).absolute()
    config = EXPERIMENT
    state, _ = start(build(config.model), config)
    with Checkpoints(folder, keep=2) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state._replace(step=jnp.int32(step)), {"segm/AP": 0.25})
    save_config(config, folder)
    lines = [{"step": step, "loss": 1.5, "loss/mask": None, "learning_rate": 0.01} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def plain(config: Config) -> dict:
    """A configuration as config.json holds it."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=to_json))


def make_run(rng: Random, folder: Path) -> None:
    run = folder / "run"
    shutil.copytree(whole_run(), run)
    how = rng.randrange(5)
    if how == 0:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        number = rng.randrange(len(lines))
        lines[number] = json.dumps(damaged_tree(rng, json.loads(lines[number])))
        (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    elif how == 1:
        path = run / rng.choice(["metrics.jsonl", "config.json"])
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))
    else:
        among = [path for path in files_in(run) if "checkpoints" in path.parts]
        damage_a_file(rng, run, among if how < 4 else None)


def make_config(rng: Random, folder: Path) -> None:
    (folder / "config.json").write_bytes(written_json(rng, damaged_tree(rng, plain(EXPERIMENT))))


def read_run(folder: Path) -> None:
    run = folder / "run"
    metrics.read(run)
    config = read_config(run)
    for step in steps(run):
        load_pretrained(run, step)
    with Checkpoints(run, keep=2, best="segm/AP") as checkpoints:
        checkpoints.best_step  # noqa: B018
        checkpoints.restore(start(build(config.model), config)[0])


def read_folder(folder: Path) -> None:
    read_config(folder)


def options() -> list[str]:
    """The dotted names of every field."""
    tree = plain(load_config(TINY))

    def named(prefix: str, node: object) -> list[str]:
        if not isinstance(node, dict):
            return [prefix]
        return [name for key, value in node.items() for name in named(f"{prefix}.{key}" if prefix else key, value)]

    return [name.replace("_", "-") for name in named("", tree)]


def make_overrides(rng: Random, folder: Path) -> None:
    """Arguments of a command line; those that hold a null byte cannot be given."""
    words: list[str] = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        name = rng.choice(options())
        if rng.random() < 0.1:
            name = rng.choice([name[:-1], name.replace(".", "-"), name.upper(), "", "customize", "run.folder"])
        words.append(f"--{name}")
        for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
            words.append(str(rng.choice([*NUMBERS, *TEXTS[:20], "True", "None", "none", "64", "frozen_batch"])))
    (folder / "words.json").write_text(json.dumps([word for word in words if "\x00" not in word]))


def read_overrides(folder: Path) -> None:
    load_config(TINY, json.loads((folder / "words.json").read_text()))


TARGETS = (
    FuzzTarget("run folder", make_run, read_run),
    FuzzTarget("config.json", make_config, read_folder),
    FuzzTarget("command line", make_overrides, read_overrides),
)
