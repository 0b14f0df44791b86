"""A training step on one GPU or TPU: R50-FPN in bfloat16, from images on the device to updated weights.

python benchmarks/accelerator.py     (in an environment with JAX for the device)
"""

import dataclasses
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from images import ground_truth, random_boxes, random_image
from pair import report
from stages import seconds_by_stage

ROOT = Path(__file__).parents[1]
OBJECTS = 7
"""Objects per image, as in COCO."""
RATE = "1e-6"
"""Learning rate: so small that all steps do the same work."""
LARGEST = 6
"""Number of stages that are shown, those with the largest share of time."""


class Experiment(NamedTuple):
    """A configuration, its batch size and its padded images."""

    config: str
    batch: int
    size: tuple[int, int]
    """Height and width of the padded images."""

    @property
    def name(self) -> str:
        return f"{Path(self.config).stem}, {self.batch} × {self.size[0]} × {self.size[1]}"


EXPERIMENTS = (
    Experiment("configs/mask_rcnn_r50_fpn_lsj_400ep.py", 16, (1024, 1024)),
    Experiment("configs/mask_rcnn_r50_fpn_1x.py", 16, (800, 1344)),
)


def prepare(experiment: Experiment):
    """The compiled step, the state before it, a batch on the device, and the configuration."""
    import jax
    from flax import nnx

    from maskrcnn_jax.config.loading import load_config
    from maskrcnn_jax.distributed.mesh import data_mesh, device_put_global, param_shardings, to_devices
    from maskrcnn_jax.model.mask_rcnn import MaskRCNN
    from maskrcnn_jax.structs import Batch
    from maskrcnn_jax.training.step import on_mesh, start

    overrides = ("--model.dtype", "bfloat16", "--optimizer.learning-rate", RATE, "--optimizer.warmup-steps", "0")
    config = load_config(ROOT / experiment.config, overrides)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, buckets=(experiment.size,)))
    mesh = data_mesh(devices=jax.devices()[:1])
    state, step = start(MaskRCNN(config.model, rngs=nnx.Rngs(0)), config)
    shardings = param_shardings(state, mesh)
    rng, count = np.random.default_rng(0), experiment.batch
    truth = ground_truth([random_boxes(rng, OBJECTS, experiment.size) for _ in range(count)], config.data.mask_size)
    images = np.stack([random_image(*experiment.size, seed) for seed in range(count)])
    sizes = np.full((count, 2), experiment.size, np.float32)
    state, batch = device_put_global(state, shardings), to_devices(Batch(images, sizes, truth, np.arange(count)), mesh)
    with jax.set_mesh(mesh):
        compiled = on_mesh(step, shardings, mesh).lower(state, batch, phase=0).compile()
    return compiled, state, batch, config


def speed(experiment: Experiment, rounds: int) -> tuple[str, dict[str, float]]:
    """The device's name; throughput, memory, and model FLOPs as a share of the device's peak."""
    import jax

    from maskrcnn_jax.plan.programs import losses_flops
    from maskrcnn_jax.plan.targets import DEVICES

    begin = time.perf_counter()
    compiled, state, batch, config = prepare(experiment)
    ready = time.perf_counter() - begin
    device = jax.devices()[0]
    times = []
    for _ in range(rounds + 2):  # the first two do not count
        begin = time.perf_counter()
        state, metrics = compiled(state, batch)
        loss = float(metrics["loss"])
        times.append(time.perf_counter() - begin)
    assert np.isfinite(loss), f"the loss is {loss}"
    step = float(np.median(times[2:]))
    results = {
        "images per second": experiment.batch / step,
        "seconds per step": step,
        "rounds": rounds,
        "peak memory, GiB": (device.memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**30,
        "GFLOP per image": losses_flops(config, 1) / 1e9,
        "seconds to build and compile": ready,
    }
    peak = next((known.flops for name, known in DEVICES.items() if name in device.device_kind.lower()), None)
    if peak is not None:
        results["share of peak"] = results["GFLOP per image"] * 1e9 * results["images per second"] / peak
    return device.device_kind, results


def shares(experiment: Experiment, rounds: int) -> dict[str, float]:
    """Share of the time on the device by stage."""
    import jax

    compiled, state, batch, _ = prepare(experiment)
    state, _ = jax.block_until_ready(compiled(state, batch))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(rounds):
                state, metrics = compiled(state, batch)
            jax.block_until_ready(metrics)
        seconds = seconds_by_stage(Path(folder), compiled.as_text())
    together = sum(seconds.values())
    return {f"share of time, {name}": s / together for name, s in list(seconds.items())[:LARGEST]}


def apart(function, *arguments):
    """Calls a function in a separate process, as a device's peak memory is counted per process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main(rounds: int = 20) -> None:
    """Times each experiment, then profiles it."""
    results = {}
    for experiment in EXPERIMENTS:
        device, measured = apart(speed, experiment, rounds)
        print(experiment.name, measured, flush=True)
        # Operations in a CUDA graph have no names in the profile; without graphs they take as long.
        graphs = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{graphs} --xla_gpu_enable_command_buffer="
        results[experiment.name] = measured | apart(shares, experiment, 3)
        os.environ["XLA_FLAGS"] = graphs
    report("accelerator", results, device)


if __name__ == "__main__":
    tyro.cli(main)
