"""How cost grows with the number of objects per image, and with the number of training steps.

On CPUs the mask head skips groups of empty slots, so images with few objects cost less. GPUs and TPUs always compute
all slots; so does this CPU in the lines with "all slots".

make bench ARGS=growth
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import jax
import matplotlib.pyplot as plt
import models
import numpy as np
import tyro
from flax import nnx
from images import ground_truth, random_boxes, random_image
from pair import report
from training import LOSSES, RATE

import maskrcnn_jax as mr
from maskrcnn_jax.config import Config, DataConfig, OptimizerConfig, Phase, RunConfig
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.padded_rois import apply_to_valid
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training import metrics
from maskrcnn_jax.training.step import start

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "docs" / "growth.png"


def median_seconds(action, rounds: int) -> float:
    """Median time of a call, after a first one that does not count."""
    jax.block_until_ready(action())
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        jax.block_until_ready(action())
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def prediction(model: MaskRCNN, image: np.ndarray, rounds: int) -> dict[int, float]:
    """Seconds by number of detections, which falls as the box head's logit of background grows."""
    predict = jax.jit(lambda model: mr.predict(model, image[None], np.array([image.shape[:2]], np.float32)))
    bias, background, seconds = model.box_head.logits.bias, model.config.num_classes, {}
    before = bias[...]
    for more in (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 30.0):
        bias[...] = before.at[background].add(more)
        found = int(predict(model).valid.sum())
        seconds[found] = median_seconds(lambda: predict(model), rounds)
    bias[...] = before
    return dict(sorted(seconds.items()))


def all_slots(head: nnx.Module, x: jax.Array, _: jax.Array) -> jax.Array:
    """Applies the head to all slots, as `padded_rois.apply_to_valid` does on GPUs and TPUs."""
    return head(x)


def training(model: MaskRCNN, image: np.ndarray, rounds: int) -> dict[int, float]:
    """Seconds of a training step by number of objects in the image."""
    rng = np.random.default_rng(0)
    config = Config(
        model=model.config,
        losses=LOSSES,
        optimizer=OptimizerConfig(learning_rate=RATE, warmup_steps=0, phases=(Phase("3+"),)),
        run=RunConfig(steps=10**6),
    )
    state, step = start(model, config)
    step = jax.jit(step)
    shape, seconds = image.shape[:2], {}
    for count in (0, 1, 3, 10, 30, 100):
        truth = ground_truth([random_boxes(rng, count, shape)], DataConfig().mask_size)
        batch = Batch(image[None], np.array([shape], np.float32), truth, np.zeros(1, int))
        seconds[count] = median_seconds(lambda batch=batch: step(state, batch)[1], rounds)
    return seconds


def long_training(steps: int) -> list[tuple[int, float, float]]:
    """`(step, seconds since the start, GiB)` while a small model trains, once a second.

    It saves every 500 steps: at every ten steps Orbax keeps 0.25 MiB of memory per checkpoint.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["train.py", "tests/configs/tiny.py", "--run.steps", str(steps), "--run.evaluate-every", "0"]
        command += ["--run.folder", folder, "--run.log-every", "1", "--run.save-every", "500"]
        begin, samples = time.perf_counter(), []
        with subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                time.sleep(1)
                memory, records = resident(process.pid), metrics.read(folder)
                if memory is not None and records and records[-1]["step"] < steps:
                    samples.append((int(records[-1]["step"]), time.perf_counter() - begin, memory))
        assert process.returncode == 0, "the training failed"
    return samples


def resident(process: int) -> float | None:
    """GiB of a process in memory; None when it has ended."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 2**20 if found else None


def draw(by_objects: dict[str, dict[int, float]], samples: list[tuple[int, float, float]]) -> None:
    """Three panels, whose vertical axes start at zero."""
    steps, seconds, memory = np.array(samples).T
    figure, (objects, rates, sizes) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for name, measured in by_objects.items():
        objects.plot(list(measured), list(measured.values()), "o-", label=name)
    objects.set(xlabel="objects per image", title="R50-FPN: seconds per image")
    objects.legend(loc="lower right")
    rate = np.convolve(np.pad(np.gradient(seconds, steps), 10, mode="edge"), np.ones(21) / 21, mode="valid")
    rates.plot(steps, rate)
    rates.set(xlabel="step", title="a small model: seconds per step")
    sizes.plot(steps, memory)
    sizes.set(xlabel="step", title="a small model: memory of the process, GiB")
    for panel in (objects, rates, sizes):
        panel.set_ylim(0, 1.15 * panel.get_ylim()[1])
    figure.savefig(FIGURE, dpi=110)


def main(rounds: int = 5, steps: int = 2000) -> None:
    """Measures prediction, training steps and a long run, and draws `docs/growth.png`."""
    large, small = random_image(800, 1088, seed=0), random_image(512, 512, seed=0)
    _, model = models.models(large, background=3.0)
    by_objects = {}
    for note, apply in (("", apply_to_valid), (", all slots", all_slots)):
        with mock.patch("maskrcnn_jax.model.mask_rcnn.apply_to_valid", apply):
            by_objects["prediction, 800 × 1088" + note] = prediction(model, large, rounds)
            by_objects["training step, 512 × 512" + note] = training(model, small, rounds)
    samples = long_training(steps)
    results = {
        f"{name}, {pluralize(count, 'object')}": {"seconds": s}
        for name, seconds in by_objects.items()
        for count, s in seconds.items()
    }
    report("growth", results | long_run(samples, steps))
    draw(by_objects, samples)


def long_run(samples: list[tuple[int, float, float]], steps: int) -> dict[str, dict[str, float]]:
    """Seconds per step and memory near the start, in the middle, and at the end."""
    numbers, seconds, memory = np.array(samples).T
    results = {}
    for first in (steps // 10, steps // 2, steps * 9 // 10):
        last = first + steps // 10
        begin, end = np.interp([first, last - 1], numbers, seconds)
        results[f"a small model, a step between {first} and {last}"] = {
            "seconds": float(end - begin) / (last - 1 - first),
            "memory of the process, GiB": float(np.median(memory[(numbers >= first) & (numbers < last)])),
        }
    return results


if __name__ == "__main__":
    tyro.cli(main)
