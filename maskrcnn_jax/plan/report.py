"""The plan of an experiment: memory and costs of its programs on a target."""

import logging
from typing import NamedTuple

from jax.sharding import Mesh

from maskrcnn_jax.config import Config, require
from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.plan.compiled import CompiledProgram, TooLarge, compile_program
from maskrcnn_jax.plan.largest_batch import find_largest_batch
from maskrcnn_jax.plan.programs import predict_program, train_program
from maskrcnn_jax.plan.targets import GIB, Target, devices

log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """The programs of an experiment, compiled for a target."""

    target: Target
    dtype: str
    """Compute type of the model."""
    train: CompiledProgram | None
    """Of the largest batch that fits, or of the one that was asked for; None if it does not fit."""
    seen: dict[int, int]
    """Bytes that the train step needs per device, by images per device: every batch that was compiled."""
    predict: CompiledProgram | None


def make_plan(config: Config, target: Target, batch: int | None = None) -> Plan:
    """Compiles an experiment's train step and prediction for a target.

    Args:
        config: the experiment.
        target: the devices; they need not be present.
        batch: images per device of the train step; None finds the largest batch that fits, or takes the
            configuration's where memory is not known (CPUs).

    Raises:
        TargetError: see `targets.devices`.
        ConfigError: the batch is empty.
    """
    require(batch is None or batch > 0, "batch", batch, "must be at least 1")
    mesh = data_mesh(config.run.fsdp, devices(target))
    compiled: dict[int, CompiledProgram] = {}

    def needed(images: int) -> int:
        log.info("compiling the train step for %s per device", pluralize(images, "image"))
        program = train_program(config, mesh, images)
        try:
            compiled[images] = compile_program(program, target.options)
        except TooLarge as error:
            log.info("%s per device: %s", pluralize(images, "image"), error)
            return error.needed
        done = compiled[images]
        log.info("%s per device: %.2f GiB, %.0f s", pluralize(images, "image"), done.total / GIB, done.seconds)
        return compiled[images].total

    memory = target.device.memory
    configured = max(config.data.batch_size // config.run.accumulate // target.count, 1)
    if batch is None and memory is not None:
        seen = find_largest_batch(needed, memory, configured)
        chosen = max((images for images, size in seen.items() if size <= memory), default=0)
    else:
        chosen = batch or configured
        seen = {chosen: needed(chosen)}
    return Plan(target, config.model.dtype, compiled.get(chosen), seen, _prediction(config, mesh, target))


def _prediction(config: Config, mesh: Mesh, target: Target) -> CompiledProgram | None:
    images = max(config.data.validation_batch_size // target.count, 1)
    log.info("compiling the prediction for %s per device", pluralize(images, "image"))
    try:
        return compile_program(predict_program(config, mesh, images), target.options)
    except TooLarge as error:
        log.info("%s per device: %s", pluralize(images, "image"), error)
        return None
