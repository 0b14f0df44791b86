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
from maskrcnn_jax.distributed.mesh import data_mesh, device_put_global, param_shardings, replicated, to_devices
from maskrcnn_jax.distributed.processes import is_first
from maskrcnn_jax.evaluation.run import check_compatible, evaluate, require_masks, summary
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.params import Arrays
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
from maskrcnn_jax.training.step import TrainState, TrainStep, on_mesh, start
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
    with Compilations() as compilations:
        state, train_step = initial_state(resumption, mesh)
        with only_writer(run.folder):
            ended = take_steps(resumption, state, train_step, source, validation, mesh, compilations)
            if ended is not None and is_first():
                report(on_one_device(ended.model), validation, ended.metrics, run.folder)
                write_end(run.folder, run.steps)


def initial_state(resumption: Resumption, mesh: Mesh) -> tuple[TrainState, TrainStep]:
    """The state before the first step, on the devices, and the step.

    A run that is resumed has its own weights, so those that it began with need not exist any more.
    """
    config = resumption.config
    resumes = resumption.step > 0
    began = dataclasses.replace(config, run=dataclasses.replace(config.run, init=None)) if resumes else config
    state, train_step = start(build_model(began), config)
    return device_put_global(state, param_shardings(state, mesh)), train_step


class Ended(NamedTuple):
    """A run that has taken all of its steps."""

    model: MaskRCNN
    """On every device."""
    metrics: dict[str, float]
    """Of its last evaluation."""


def take_steps(
    resumption: Resumption,
    state: TrainState,
    train_step: TrainStep,
    source: ImageSource,
    validation: ImageSource,
    mesh: Mesh,
    compilations: Compilations,
) -> Ended | None:
    """Takes the steps that are left, evaluates and saves.

    Args:
        resumption: the experiment and the step of its last checkpoint.
        state: before the first step; a run that is resumed restores its own.
        train_step: from `start`.
        source: training images.
        validation: images to evaluate on.
        mesh: the devices.
        compilations: counts the programs that are compiled.

    Returns:
        None if the run was asked to stop.
    """
    config, run = resumption.config, resumption.config.run
    jitted = WatchedStep(on_mesh(train_step, param_shardings(state, mesh), mesh), compilations, config.data.buckets)
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(run.folder, keep=run.keep, best=run.best))
        state = restored(resumption, checkpoints, state)
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
            found = evaluate(train_step.model(state), validation, config, run.folder, mesh)
            shown = [f"{kind}/{name}" for kind, own in summary(found).items() for name in own]
            writer.write(int(state.step), found, shown=shown)
            return found

        for step in range(done + 1, run.steps + 1):
            before, phase = phase, phase_after(config.optimizer, step - 1)
            if phase != before:
                log.info("step %d: %s", step, describe_phase(config, phase, state.params))
            with profile.step(step):
                batch = next(batches)
                state, step_metrics = jitted(state, to_devices(batch, mesh), phase=phase)
                progress.add(step, step_metrics, batch.image_ids)
            if step == run.steps:
                break
            evaluates, stops = run.evaluate_every and step % run.evaluate_every == 0, stop.agreed()
            if evaluates or step % run.save_every == 0 or stops:
                progress.catch_up()
                checkpoints.save(step, state, score(state) if evaluates else None)
            if stops:
                log.info("stopped and saved at step %d; rerun the same command to resume", step)
                return None

        progress.catch_up()
        seconds = time.perf_counter() - started
        log.info("%s in %.0f s; compiled %s", pluralize(run.steps - done, "step"), seconds, compilations)
        found = score(state)
        checkpoints.save(run.steps, state, found)
        return Ended(jax.device_put(train_step.model(state), replicated(mesh)), found)


def restored(resumption: Resumption, checkpoints: Checkpoints, state: TrainState) -> TrainState:
    """The state of the last checkpoint, or the given one where there is none.

    Raises:
        RunFolderError: the folder has another last checkpoint than when it was examined.
    """
    folder, step = resumption.config.run.folder, resumption.step
    if (checkpoints.latest or 0) != step:
        raise RunFolderError(f"{folder}: another process has just trained here; start again")
    if step > 0:
        state = checkpoints.restore(state)
        log.info("%s: resumed at step %d", folder, state.step)
    if resumption.changed:
        log.info("%s: changed from step %d on: %s", folder, step, listed(resumption.changed))
    return state


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
    """A sentence on the trainable parameters of a phase, for the log."""
    now, names = config.optimizer.phases[phase], trainable_names(params, config.optimizer, config.model.backbone)[phase]
    sizes = {name: math.prod(value.shape) for name, value in params.items()}
    return (
        f"training parameters {now.trains!r} until step {now.until or config.run.steps}: {len(names)} of "
        f"{len(params)} arrays, {sum(sizes[name] for name in names):,} of {sum(sizes.values()):,} parameters"
    )
