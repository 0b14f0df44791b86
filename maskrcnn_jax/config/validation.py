"""Checks of a configuration: everything that would otherwise fail, or silently be wrong, hours later.

Each value checks itself (`Value.validate`); here are the other sections, and relations between sections.
"""

import itertools
import math
import re

from maskrcnn_jax.config import Config, DataConfig, ForeignFunction, OptimizerConfig, Phase, RunConfig, ShapesSource
from maskrcnn_jax.config.names import require_names
from maskrcnn_jax.messages.config_error import require, require_fraction, require_not_negative, require_positive
from maskrcnn_jax.ops.images import require_buckets


def validate(config: Config) -> None:
    """Checks every value and every relation between values that training or prediction relies on.

    Raises:
        ConfigError: Names the field, its value and the remedy.
    """
    require_names(config)
    config.model.validate("model")
    config.sampling.validate("sampling")
    for loss in config.losses:
        require_not_negative(f"losses.{loss.name}.weight", loss.weight)
        loss.validate(f"losses.{loss.name}")
    require(len(config.losses) > 0, "losses", config.losses, "must hold at least one")
    for evaluator in config.evaluators:
        evaluator.validate(f"evaluators.{evaluator.name}")
    _data(config.data, config.model.input.size_divisibility)
    _run(config.run)
    _optimizer(config.optimizer, config.run.steps)
    _together(config)


def _data(data: DataConfig, divisibility: int) -> None:
    data.train.validate("data.train")
    data.validation.validate("data.validation")
    require_positive("data.batch_size", data.batch_size)
    require_positive("data.validation_batch_size", data.validation_batch_size)
    require_positive("data.max_objects", data.max_objects)
    require_positive("data.mask_size", data.mask_size)
    require_positive("data.threads", data.threads)
    require_not_negative("data.max_broken", data.max_broken)
    require_buckets("data.buckets", data.buckets, divisibility)
    for transform in data.transforms:
        transform.validate(f"data.transforms.{transform.name}")
        transform.check_buckets(f"data.transforms.{transform.name}", data.buckets)


def _optimizer(optimizer: OptimizerConfig, steps: int) -> None:
    require_positive("optimizer.learning_rate", optimizer.learning_rate)
    for name in ("momentum", "beta2"):
        value = getattr(optimizer, name)
        require(0 <= value < 1, f"optimizer.{name}", value, "must lie in [0, 1)")
    require_not_negative("optimizer.weight_decay", optimizer.weight_decay)
    if optimizer.schedule == "step":
        edges = (0, *optimizer.milestones, steps)
        rising = all(low < high for low, high in itertools.pairwise(edges))
        remedy = f"must increase, stay above 0 and below run.steps = {steps}; scale them with a shorter run"
        require(rising, "optimizer.milestones", optimizer.milestones, remedy)
    warmup = optimizer.warmup_steps
    remedy = f"must be 0 or more and below run.steps = {steps}; set it lower, 0 for no warm-up"
    require(0 <= warmup < steps, "optimizer.warmup_steps", warmup, remedy)
    require_fraction("optimizer.warmup_start", optimizer.warmup_start)
    if optimizer.clip_norm is not None:
        require_positive("optimizer.clip_norm", optimizer.clip_norm)
    _phases(optimizer.phases, steps)
    for pattern, factor in optimizer.groups:
        remedy = "must be positive and finite; optimizer.phases says what is not trained at all"
        require(0 < factor < math.inf, "optimizer.groups", factor, remedy)
        _regular("optimizer.groups", pattern)
    if optimizer.ema_decay is not None:
        require(0 < optimizer.ema_decay < 1, "optimizer.ema_decay", optimizer.ema_decay, "must lie between 0 and 1")


def _phases(phases: tuple[Phase, ...], steps: int) -> None:
    require(len(phases) > 0, "optimizer.phases", phases, "must hold at least one; Phase() trains everything")
    for i, phase in enumerate(phases):
        _regular(f"optimizer.phases[{i}].trains", phase.trains)
        require_positive(f"optimizer.phases[{i}].rate", phase.rate)
    *ends, last = (phase.until for phase in phases)
    remedy = f"must be None: the last phase ends with the run, at run.steps = {steps}"
    require(last is None, f"optimizer.phases[{len(ends)}].until", last, remedy)
    before = 0
    for i, end in enumerate(ends):
        remedy = f"must be a step after {before}, where the phase begins, and before run.steps = {steps}"
        require(end is not None and before < end < steps, f"optimizer.phases[{i}].until", end, remedy)
        before = end or 0


def _regular(where: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        require(False, where, pattern, f"is no regular expression ({error}); correct it")


def _run(run: RunConfig) -> None:
    require_positive("run.steps", run.steps)
    require_positive("run.accumulate", run.accumulate)
    require_positive("run.log_every", run.log_every)
    require_not_negative("run.evaluate_every", run.evaluate_every)
    require_positive("run.save_every", run.save_every)
    require_positive("run.keep", run.keep)
    require_not_negative("run.seed", run.seed)
    require_positive("run.fsdp", run.fsdp)
    if run.profile_steps is not None:
        first, last = run.profile_steps
        remedy = f"must be two steps in order, from 1 to run.steps = {run.steps}"
        require(1 <= first <= last <= run.steps, "run.profile_steps", run.profile_steps, remedy)
    known = re.fullmatch(r"\w+/.+", run.best) is not None
    require(known, "run.best", run.best, 'must be a metric such as "segm/AP" or "bbox/AP50"')


def _together(config: Config) -> None:
    batch, parts = config.data.batch_size, config.run.accumulate
    require(batch % parts == 0, "data.batch_size", batch, f"must be a multiple of run.accumulate = {parts}")
    for where, source in (("data.train", config.data.train), ("data.validation", config.data.validation)):
        if isinstance(source, ShapesSource):
            classes, kinds = config.model.num_classes, len(source.kinds)
            require(classes == kinds, "model.num_classes", classes, f"must be {kinds}, as {where}.kinds has")
    name = getattr(config.customize, "__qualname__", "<unnamed>")
    remedy = "must be a function defined with `def` at the top of a file, so that a run folder can name it"
    named = isinstance(config.customize, ForeignFunction) or "<" not in name
    require(named, "customize", config.customize, remedy)
