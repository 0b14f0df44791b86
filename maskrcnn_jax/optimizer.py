"""The optimiser: schedule, clipping, weight decay and who learns how fast."""

import re
from collections.abc import Iterable

import jax.numpy as jnp
import optax

from maskrcnn_jax.config import ConfigError, OptimizerConfig
from maskrcnn_jax.weights import Arrays


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """The learning rate at each step: linear warm-up, then steps down to a tenth or a half cosine to 0.

    Args:
        config: rate, warm-up and milestones.
        steps: length of the run, where the cosine ends.
    """
    if config.schedule == "cosine":
        main = optax.cosine_decay_schedule(config.learning_rate, steps)
    else:
        main = optax.piecewise_constant_schedule(config.learning_rate, {int(m): 0.1 for m in config.milestones})

    if config.warmup_steps == 0:
        return main

    def schedule(step):
        share = jnp.minimum(step / config.warmup_steps, 1.0)
        return main(step) * (config.warmup_start + (1.0 - config.warmup_start) * share)

    return schedule


def factors(names: Iterable[str], config: OptimizerConfig) -> dict[str, float]:
    """What each parameter's learning rate is multiplied by; 0 for frozen parameters.

    Raises:
        ConfigError: a group matches no parameter.
    """
    names = list(names)
    found = {name: next((i for i, (p, _) in enumerate(config.groups) if re.match(p, name)), None) for name in names}
    for i, (pattern, _) in enumerate(config.groups):
        if i not in found.values():
            raise ConfigError(
                f"optimizer.groups[{i}] = {pattern!r} matches no parameter that an earlier group leaves over; "
                f"parameters have names like {', '.join(names[:3])}"
            )
    return {name: 1.0 if i is None else config.groups[i][1] for name, i in found.items()}


def make_optimizer(config: OptimizerConfig, steps: int, factor: dict[str, float]) -> optax.GradientTransformation:
    """The transformation from gradients to updates of the trainable parameters, both dicts by dotted name.

    Weight decay spares vectors, that is norms and biases. SGD adds it to the gradient (PyTorch, Detectron2), AdamW to
    the update.

    Args:
        config: which optimiser and its numbers.
        steps: length of the run.
        factor: what each parameter's update is multiplied by.
    """

    def decayed(params: Arrays) -> dict[str, bool]:
        return {name: value.ndim > 1 for name, value in params.items()}

    decay = optax.add_decayed_weights(config.weight_decay, mask=decayed)
    if config.name == "sgd":
        rule = optax.chain(decay, optax.trace(config.momentum))
    else:
        rule = optax.chain(optax.scale_by_adam(b1=config.momentum, b2=config.beta2), decay)
    return optax.chain(
        optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm),
        rule,
        optax.stateless(lambda updates, _: {name: u * factor[name] for name, u in updates.items()}),
        optax.scale_by_learning_rate(learning_rate(config, steps)),
    )
