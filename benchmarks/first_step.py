"""Compilation: from the start of a training process to the end of its first step, without and with cached programs.

MASKRCNN_COCO_MINI=FOLDER make bench ARGS=first_step
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import tyro
from pair import report

from maskrcnn_jax.data.prepare.run import prepare

ROOT = Path(__file__).parents[1]
ONE_STEP = ("--run.steps=1", "--run.log-every=1", "--optimizer.schedule=cosine", "--optimizer.warmup-steps=0")
"""A run of one step writes that step's metrics at once, not while the second runs. The schedule has no milestones and
no warm-up, which would have to end before."""
COMPILED = re.compile(r"compiled the step for .* in ([\d.]+) s")
FIRST = re.compile(r"step\s+1/")


class Start(NamedTuple):
    """Seconds of one start."""

    call: float
    """Of the call of the first step, which traces it and compiles it or reads it from the cache."""
    first_step: float
    """From the start of the process to the metrics of the first step."""


def start(arguments: list[str], programs: Path) -> Start:
    """Starts a training in a temporary folder, with `programs` as compilation cache, and kills it after one step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", *arguments, *ONE_STEP, "--run.folder", folder]
        settings = os.environ | {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(programs), "PYTHONUNBUFFERED": "1"}
        began, call = time.perf_counter(), None
        with subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None, "a pipe was asked for"
            for line in process.stderr:
                if found := COMPILED.search(line):
                    call = float(found[1])
                if FIRST.match(line):
                    break
            seconds = time.perf_counter() - began
            process.send_signal(signal.SIGKILL)
    assert call is not None, f"{' '.join(command)} has not taken its first step"
    return Start(call, seconds)


def main(folder: Path | None = None, rounds: int = 3) -> None:
    """Times two small models and R50-FPN; every start without cache begins with an empty folder."""
    folder = folder or Path(os.environ.get("MASKRCNN_COCO_MINI", ""))
    if not (folder / "annotations").is_dir():
        sys.exit("MASKRCNN_COCO_MINI is not set: set it to a folder in COCO's layout, or pass --folder")
    results = {}
    with tempfile.TemporaryDirectory() as data:
        prepare(folder, Path(data))
        photographs = ["--data.train.folder", data, "--data.validation.folder", data]
        one = [*photographs, "--data.batch-size", "1"]
        for name, more in (("shapes", []), ("coco_mini", photographs), ("mask_rcnn_r50_fpn_1x", one)):
            cold, warm = [], []
            for _ in range(rounds):
                with tempfile.TemporaryDirectory() as programs:
                    cold.append(start([f"configs/{name}.py", *more], Path(programs)))
                    warm.append(start([f"configs/{name}.py", *more], Path(programs)))
            for part in Start._fields:
                without, with_ = (statistics.median(getattr(taken, part) for taken in side) for side in (cold, warm))
                label = f"{name}, {part.replace('_', ' ')}"
                results[label] = {"without": without, "with": with_, "ratio": with_ / without, "rounds": rounds}
    report("first_step", results)


if __name__ == "__main__":
    tyro.cli(main)
