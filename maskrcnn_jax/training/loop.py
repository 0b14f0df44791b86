"""A training run: from its first step, or the step after its last checkpoint, to its end."""

import contextlib
import dataclasses
import logging
import math
import time
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints
from maskrcnn_jax.checkpoints.pretrained import build_model
from maskrcnn_jax.config import Config, require
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.distributed.mesh import data_mesh, param_shardings, put, replicated, to_devices
from maskrcnn_jax.distributed.processes import is_first
from maskrcnn_jax.evaluation.run import check_compatible, evaluate, require_masks, summary
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.params import Arrays, merge, split
from maskrcnn_jax.training import metrics
from maskrcnn_jax.training.compilation import Compilations
from maskrcnn_jax.training.optimizer import phase_after, trainable_names
from maskrcnn_jax.training.profile import Profile
from maskrcnn_jax.training.progress import Progress
from maskrcnn_jax.training.report import on_one_device, report
from maskrcnn_jax.training.run_folder import (
    Resumption,
    RunFolderError,
    examine,
    listed,
    only_writer,
    write_end,
    write_start,
)
from maskrcnn_jax.training.step import TrainState, on_mesh, start
from maskrcnn_jax.training.stop_request import StopRequest
from maskrcnn_jax.training.watched_step import WatchedStep

log = logging.getLogger(__name__)


def train(config: Config) -> None:
    """Runs an experiment to its end, or until it is asked to stop."""
    mesh = data_mesh(config.run.fsdp)
    source, validation = config.data.train.open(), config.data.validation.open()
    resumption = examine(with_class_names(config, source, validation, devices=mesh.size))
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
        None if the run was asked to stop.
    """
    config, run = resumption.config, resumption.config.run
    with contextlib.ExitStack() as stack:
        compilations = stack.enter_context(Compilations())
        # A run that is resumed has its own weights: those that it began with may be gone.
        resumes = resumption.step > 0
        began = dataclasses.replace(config, run=dataclasses.replace(run, init=None)) if resumes else config
        structure = split(model := build_model(began))[0]
        state, train_step = start(model, config)
        places = param_shardings(state, mesh)
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
        writer: metrics.Writer = metrics.NullWriter()
        if is_first():
            write_start(resumption)
            writer = stack.enter_context(metrics.MetricWriter(run.folder, total_steps=run.steps, first_step=done))
        stack.enter_context(jax.set_mesh(mesh))
        progress, stop = Progress(writer, run.log_every), stack.enter_context(StopRequest(mesh))
        profile = stack.enter_context(Profile(run.folder, run.profile_steps, finish=progress.catch_up))
        phase = None

        def score(state: TrainState) -> dict[str, float]:
            figures = evaluate(smoothed(structure, state), validation, config, run.folder, mesh)
            shown = [f"{kind}/{name}" for kind, own in summary(figures).items() for name in own]
            writer.write(int(state.step), figures, shown=shown)
            return figures

        for step in range(done + 1, run.steps + 1):
            before, phase = phase, phase_after(config.optimizer, step - 1)
            if phase != before:
                log.info("step %d: %s", step, describe_phase(config, phase, state.params))
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
        log.info("%s in %.0f s; compiled %s", pluralize(run.steps - done, "step"), seconds, compilations)
        found = score(state)
        checkpoints.save(run.steps, state, found)
        return Ended(jax.device_put(smoothed(structure, state), replicated(mesh)), found)


def with_class_names(config: Config, source: ImageSource, validation: ImageSource, devices: int) -> Config:
    """The configuration with the data set's class names in the model, where they travel with the weights.

    Raises:
        ConfigError: the data has another number of classes or other names than the configuration gives, validation
            has others than training, one of them has no masks for the mask head, a batch does not divide among the
            devices, or the best checkpoint is to be told by masks that the model does not find.
    """
    names, given = source.class_names, config.model.class_names
    remedy = f"labels count in the order of the data's classes: leave it empty, or give {', '.join(names)}"
    require(given in ((), names), "model.class_names", given, remedy)
    require_masks(config, source, "data.train", config.data.train)
    check_compatible(config, validation, devices)
    same = names == validation.class_names
    require(same, "data.validation", config.data.validation, f"must have the classes of training: {', '.join(names)}")
    size = config.data.batch_size // config.run.accumulate
    remedy = f"must be a multiple of the number of devices, {devices}"
    require(size % devices == 0, "data.batch_size / run.accumulate", size, remedy)
    # Here, not where every configuration is checked: prediction and evaluation put another model into one.
    kinds = ["bbox", *(["segm"] if config.model.mask_head else []), *(other.name for other in config.evaluators)]
    remedy = f"must be a metric that an evaluation has: {', '.join(f'{kind}/…' for kind in kinds)}"
    if config.model.mask_head is None:
        remedy += ', such as "bbox/AP": model.mask_head is None'
    require(config.run.best.partition("/")[0] in kinds, "run.best", config.run.best, remedy)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, class_names=names))


def describe_phase(config: Config, phase: int, params: Arrays) -> str:
    """A sentence on what a phase trains, for the log."""
    now, names = config.optimizer.phases[phase], trainable_names(params, config.optimizer, config.model.backbone)[phase]
    numbers = {name: math.prod(value.shape) for name, value in params.items()}
    return (
        f"training {now.trains} until step {now.until or config.run.steps}: {len(names)} of {len(params)} tensors, "
        f"{sum(numbers[name] for name in names):,} of {sum(numbers.values()):,} numbers"
    )


def smoothed(structure, state: TrainState) -> MaskRCNN:
    """The model to evaluate: the moving average of the weights where there is one."""
    return merge(structure, state.params if state.ema is None else state.ema, state.statistics)
