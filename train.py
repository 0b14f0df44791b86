"""Trains Mask R-CNN.

    python train.py configs/shapes.py [--init RUN_OR_CHECKPOINT] [--section.field value …]

The run folder gets the resolved configuration, metrics.jsonl and TensorBoard's files, checkpoints, and at the end the
COCO figures, the training curves and a sheet of predicted pictures. Started again on the same run folder it resumes
from the last checkpoint. Lengths, intervals, learning rates, batches and augmentation may then be others. Another
model, other data, another seed or --init are another run and refused. SIGTERM or Ctrl-C save and stop.
"""

import contextlib
import dataclasses
import logging
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from evaluate import MENDABLE, SUMMARY, evaluate, require_fit, table
from maskrcnn_jax.checkpoint import Checkpoints
from maskrcnn_jax.config import Config, require
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.source import ImageSource
from maskrcnn_jax.devices import require_devices
from maskrcnn_jax.experiment import load_config
from maskrcnn_jax.files.printable import PrintableFormatter, printable
from maskrcnn_jax.model import MaskRCNN
from maskrcnn_jax.optimizer import learners, phase_after
from maskrcnn_jax.parallel import data_mesh, put, replicated, to_devices, weight_places
from maskrcnn_jax.plural import counted
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.pretrained import build_model
from maskrcnn_jax.refusals import in_words, outside_cause
from maskrcnn_jax.run_folder import Resumption, RunFolderError, examine, listed, only_writer, write_end, write_start
from maskrcnn_jax.running import metrics
from maskrcnn_jax.running.compilation import Compilations, keep_programs
from maskrcnn_jax.running.garbage import search_less
from maskrcnn_jax.running.processes import is_first, join_processes
from maskrcnn_jax.running.profile import Profile
from maskrcnn_jax.running.stop_request import StopRequest
from maskrcnn_jax.running.watched_step import WatchedStep
from maskrcnn_jax.training import TrainState, on_mesh, start
from maskrcnn_jax.visualize import draw_detections, plot_curves, save_png, sheet
from maskrcnn_jax.weights import Arrays, merge, split

log = logging.getLogger("train")


def train(config: Config) -> None:
    """Runs an experiment to its end, or until somebody asks it to stop."""
    mesh = data_mesh(config.run.fsdp)
    source, validation = open_source(config.data.train), open_source(config.data.validation)
    resumption = examine(fit_to(config, source, validation, devices=mesh.size))
    run = resumption.config.run
    if resumption.finished:
        log.info("%s: finished at step %d; nothing to do. More --run.steps continue it", run.folder, resumption.step)
        return
    with contextlib.ExitStack() as held:
        ended = to_the_end(resumption, source, validation, mesh, held)
        if ended is not None and is_first():
            report(on_one_device(ended.model), validation, ended.figures, run.folder)
            write_end(run.folder, run.steps)


class Ended(NamedTuple):
    """A run that has taken all of its steps."""

    model: MaskRCNN
    """On every device."""
    figures: dict[str, float]
    """Its evaluation."""


def to_the_end(
    resumption: Resumption, source: ImageSource, validation: ImageSource, mesh: Mesh, held: contextlib.ExitStack
) -> Ended | None:
    """Takes the steps that are left, evaluates and saves.

    Args:
        resumption: the experiment and where it stands.
        source: what to train on.
        validation: what to evaluate on.
        mesh: the devices.
        held: closes after everything is written; it holds the folder.

    Returns:
        None if somebody asked the run to stop.
    """
    config, run = resumption.config, resumption.config.run
    with contextlib.ExitStack() as stack:
        compilations = stack.enter_context(Compilations())
        # A run that is resumed has its own weights: those that it began with may be gone.
        resumes = resumption.step > 0
        began = dataclasses.replace(config, run=dataclasses.replace(run, init=None)) if resumes else config
        structure = split(model := build_model(began))[0]
        state, train_step = start(model, config)
        places = weight_places(state, mesh)
        state = put(state, places)
        jitted = on_mesh(train_step, places, mesh)
        train_step = WatchedStep(jitted, compilations, config.data.buckets)
        held.enter_context(only_writer(run.folder))
        checkpoints = stack.enter_context(Checkpoints(run.folder, keep=run.keep, best=run.best))
        if (checkpoints.latest or 0) != resumption.step:
            raise RunFolderError(f"{run.folder}: another process has just trained here; start again")
        if resumes:
            state = checkpoints.restore(state)
            log.info("%s: resumed at step %d", run.folder, state.step)
        if resumption.changed:
            log.info("%s: changed from step %d on: %s", run.folder, resumption.step, listed(resumption.changed))
        done, started = int(state.step), time.perf_counter()
        batches = train_batches(
            source,
            config.data,
            run.seed,
            done,
            jax.process_index(),
            jax.process_count(),
            centered=config.model.input.centered,
        )
        stack.enter_context(contextlib.closing(batches))
        writer: metrics.Writer = metrics.Silence()
        if is_first():
            write_start(resumption)
            writer = stack.enter_context(metrics.MetricWriter(run.folder, total_steps=run.steps, first_step=done))
        stack.enter_context(jax.set_mesh(mesh))
        progress, stop = Progress(writer, run.log_every), stack.enter_context(StopRequest(mesh))
        profile = stack.enter_context(Profile(run.folder, run.profile_steps, finish=progress.catch_up))
        phase = None

        def score(state: TrainState) -> dict[str, float]:
            figures = evaluate(smoothed(structure, state), validation, config, run.folder, mesh)
            writer.write(
                int(state.step), figures, shown=[name for name in figures if name.partition("/")[2] in SUMMARY]
            )
            return figures

        for step in range(done + 1, run.steps + 1):
            before, phase = phase, phase_after(config.optimizer, step - 1)
            if phase != before:
                log.info("step %d: %s", step, who_learns(config, phase, state.params))
            with profile.step(step):
                batch = next(batches)
                state, figures = train_step(state, to_devices(batch, mesh), phase=phase)
                progress.add(step, figures, batch.image_ids)
            if step == run.steps:
                break
            evaluates, stops = run.evaluate_every and step % run.evaluate_every == 0, stop.agreed()
            if evaluates or step % run.save_every == 0 or stops:
                progress.catch_up()
                checkpoints.save(step, state, score(state) if evaluates else None)
            if stops:
                log.info("stopped and saved at step %d; the same command resumes from there", step)
                return None

        progress.catch_up()
        seconds = time.perf_counter() - started
        log.info("%s in %.0f s; compiled %s", counted(run.steps - done, "step"), seconds, compilations)
        found = score(state)
        checkpoints.save(run.steps, state, found)
        return Ended(jax.device_put(smoothed(structure, state), replicated(mesh)), found)


class NonFiniteLoss(RuntimeError):
    """A loss or gradient became infinite or NaN; nothing of that step was saved."""


class Progress:
    """Reads each step's figures one step late, so that the device never waits for the host."""

    def __init__(self, writer: metrics.Writer, every: int):
        self.writer, self.every = writer, every
        self.pending: tuple[int, dict[str, jax.Array], np.ndarray] | None = None

    def add(self, step: int, figures: dict[str, jax.Array], image_ids: np.ndarray) -> None:
        """Takes a step's figures and writes those of the step before."""
        self.catch_up()
        self.pending = (step, figures, image_ids)

    def catch_up(self) -> None:
        """Checks and writes what is pending; from here on the state is known to be good."""
        if self.pending is None:
            return
        step, on_device, image_ids = self.pending
        self.pending = None
        figures = {name: float(value) for name, value in jax.device_get(on_device).items()}
        if not all(map(math.isfinite, figures.values())):
            listed = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            raise NonFiniteLoss(
                f"step {step} is not finite: {listed}; image ids {image_ids.tolist()}. Nothing of it was saved: the "
                "run resumes from its last checkpoint. Look at these images, lower optimizer.learning_rate, raise "
                "optimizer.warmup_steps or set optimizer.clip_norm."
            )
        if step % self.every == 0:
            self.writer.write(step, figures)


def fit_to(config: Config, source: ImageSource, validation: ImageSource, devices: int) -> Config:
    """The configuration with the data set's class names in the model, where they travel with the weights.

    Raises:
        ConfigError: the data has another number of classes or other names than the configuration gives, validation
            has others than training, a batch does not divide among the devices, or the best checkpoint is to be told
            by masks that the model does not find.
    """
    names, given = source.class_names, config.model.class_names
    remedy = f"labels count in the order of the data's classes: leave it empty, or give {', '.join(names)}"
    require(given in ((), names), "model.class_names", given, remedy)
    require_fit(config, validation, devices)
    same = names == validation.class_names
    require(same, "data.validation", config.data.validation, f"must have the classes of training: {', '.join(names)}")
    size = config.data.batch_size // config.run.accumulate
    remedy = f"must be a multiple of the number of devices, {devices}"
    require(size % devices == 0, "data.batch_size / run.accumulate", size, remedy)
    # Here, not where every configuration is checked: prediction and evaluation put another model into one.
    scored = config.model.mask_head is not None or config.run.best.startswith("bbox/")
    remedy = 'must be a box metric such as "bbox/AP": model.mask_head is None'
    require(scored, "run.best", config.run.best, remedy)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, class_names=names))


def who_learns(config: Config, phase: int, params: Arrays) -> str:
    """A sentence on what a phase trains, for the log."""
    now, names = config.optimizer.phases[phase], learners(params, config.optimizer)[phase]
    numbers = {name: math.prod(value.shape) for name, value in params.items()}
    return (
        f"training {now.trains} until step {now.until or config.run.steps}: {len(names)} of {len(params)} tensors, "
        f"{sum(numbers[name] for name in names):,} of {sum(numbers.values()):,} numbers"
    )


def smoothed(structure, state: TrainState) -> MaskRCNN:
    """The model to evaluate: the moving average of the weights where there is one."""
    return merge(structure, state.params if state.ema is None else state.ema, state.statistics)


def on_one_device(model: MaskRCNN) -> MaskRCNN:
    """The model on this process's first device, where it may be used without the other processes."""
    return jax.tree.map(jnp.asarray, jax.device_get(model))


def report(model: MaskRCNN, source: ImageSource, figures: dict[str, float], folder: Path) -> None:
    """Draws the training curves and the first pictures with what was found in them, and says where it all lies."""
    predictor = Predictor(model)
    images = [source[i].image for i in range(min(16, len(source)))]
    drawn = [
        draw_detections(image, confident(found), predictor.class_names)
        for image, found in zip(images, predictor(images), strict=True)
    ]
    save_png(folder / "pictures.png", sheet(drawn, columns=4))
    plot_curves(metrics.read(folder), folder / "curves.png")
    print(table(figures))
    print(f"{folder}: metrics.json, curves.png, pictures.png, checkpoints/")


def confident(found, threshold: float = 0.5):
    """The detections with at least this score."""
    return jax.tree.map(lambda x: x[found.scores >= threshold], found)


def main() -> None:
    """Trains as the arguments say."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], force=True)  # libraries have put up handlers of their own
    for name in (log.name, "maskrcnn_jax"):
        logging.getLogger(name).setLevel(logging.INFO)
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(f"{__doc__}")
    search_less()
    try:
        join_processes()
        require_devices()
        if not is_first():
            logging.disable(logging.INFO)
        keep_programs()
        train(load_config(sys.argv[1], sys.argv[2:]))
    except (*MENDABLE, metrics.RecordError, NonFiniteLoss, RunFolderError) as error:
        sys.exit(printable(f"error: {in_words(error)}"))
    except Exception as error:
        if (cause := outside_cause(error)) is None:
            raise
        sys.exit(printable(f"error: {cause}"))


if __name__ == "__main__":
    main()
