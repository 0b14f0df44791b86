"""The optimiser: schedule, clipping, weight decay, who learns when and how fast."""

import bisect
import re
from collections.abc import Iterable, Sequence, Set

import jax.numpy as jnp
import optax

from maskrcnn_jax.config import ConfigError, OptimizerConfig
from maskrcnn_jax.nn.params import Arrays

PARTS = {
    "heads": r"(?!backbone\.)",
    "5+": r"(?!backbone\.(stem|layer[123])\.)",
    "4+": r"(?!backbone\.(stem|layer[12])\.)",
    "3+": r"(?!backbone\.(stem|layer1)\.)",
    "all": "",
}
"""What a phase may train by name, as Matterport's. Stages count as C2 … C5 do: stage 3 is `layer2`."""


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """The learning rate after so many steps, times the share of the phase.

    It warms up linearly, and falls by steps to a tenth or as half a cosine to 0.

    Args:
        config: rate, warm-up, milestones and phases.
        steps: length of the run, where the cosine ends.
    """
    if config.schedule == "cosine":
        main = optax.cosine_decay_schedule(config.learning_rate, steps)
    else:
        main = optax.piecewise_constant_schedule(config.learning_rate, {int(m): 0.1 for m in config.milestones})
    of_phase = optax.join_schedules([optax.constant_schedule(phase.rate) for phase in config.phases], _ends(config))

    def schedule(step):
        rate = main(step) * of_phase(step)
        if config.warmup_steps == 0:
            return rate
        share = jnp.minimum(step / config.warmup_steps, 1.0)
        return rate * (config.warmup_start + (1.0 - config.warmup_start) * share)

    return schedule


def phase_after(config: OptimizerConfig, steps: int) -> int:
    """The index of the phase that the step after so many steps belongs to."""
    return bisect.bisect_right(_ends(config), steps)


def _ends(config: OptimizerConfig) -> list[int]:
    """The last steps of all phases but the last."""
    return [phase.until for phase in config.phases if phase.until is not None]


def trainable_names(names: Iterable[str], config: OptimizerConfig) -> list[set[str]]:
    """The parameters that learn in each phase.

    Raises:
        ConfigError: none learns in one of the phases.
    """
    names, found = list(names), []
    for i, phase in enumerate(config.phases):
        pattern = PARTS.get(phase.trains, phase.trains)
        found.append({name for name in names if re.match(pattern, name)})
        if not found[i]:
            raise ConfigError(
                f"optimizer.phases[{i}].trains = {phase.trains!r} matches no parameter; give {', '.join(PARTS)}, or a "
                f"regular expression for names like {', '.join(_examples(names))}"
            )
    return found


def factors(names: Iterable[str], config: OptimizerConfig) -> dict[str, float]:
    """What each parameter's learning rate is multiplied by.

    Raises:
        ConfigError: a group matches no parameter.
    """
    names = list(names)
    found = {name: next((i for i, (p, _) in enumerate(config.groups) if re.match(p, name)), None) for name in names}
    for i, (pattern, _) in enumerate(config.groups):
        if i not in found.values():
            raise ConfigError(
                f"optimizer.groups[{i}] = {pattern!r} matches no parameter that an earlier group leaves over; "
                f"parameters have names like {', '.join(_examples(names))}"
            )
    return {name: 1.0 if i is None else config.groups[i][1] for name, i in found.items()}


def _examples(names: Sequence[str]) -> list[str]:
    """A parameter of each part of the network."""
    return list({name.partition(".")[0]: name for name in names}.values())


def make_optimizer(
    config: OptimizerConfig, factor: dict[str, float], learning: Sequence[Set[str]]
) -> optax.GradientTransformation:
    """The transformation from gradients to moves: what a learning rate of 1 subtracts. All are dicts by dotted name.

    A step gives the gradients of the parameters that learn in its phase and gets their moves; the state of the others
    stays. Parameters that learn in the same phases share a state, so that those that begin later begin as the first
    did. Weight decay spares vectors, that is norms and biases. SGD adds it to the gradient (PyTorch, Detectron2), AdamW
    to the move.

    Args:
        config: which optimiser and its numbers.
        factor: what each parameter's move is multiplied by.
        learning: the parameters that learn in each phase.
    """

    def decayed(params: Arrays) -> dict[str, bool]:
        return {name: value.ndim > 1 for name, value in params.items()}

    decay = optax.add_decayed_weights(config.weight_decay, mask=decayed)
    if config.name == "sgd":
        rule = optax.chain(decay, optax.trace(config.momentum))
    else:
        rule = optax.chain(optax.scale_by_adam(b1=config.momentum, b2=config.beta2), decay)
    clip = optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm)

    cohorts: dict[str, list[str]] = {}
    for name in factor:
        phases = [str(i) for i, names in enumerate(learning) if name in names]
        if phases:
            cohorts.setdefault("phases_" + "_".join(phases), []).append(name)

    def init(params: Arrays) -> dict[str, optax.OptState]:
        return {cohort: rule.init({n: params[n] for n in names}) for cohort, names in cohorts.items()}

    def update(grads: Arrays, state: dict[str, optax.OptState], params: Arrays):
        grads, _ = clip.update(grads, clip.init(grads))
        moves: Arrays = {}
        after: dict[str, optax.OptState] = {}
        for cohort, names in cohorts.items():
            if names[0] in grads:
                mine, weights = ({n: arrays[n] for n in names} for arrays in (grads, params))
                found, after[cohort] = rule.update(mine, state[cohort], weights)
                moves |= {n: move * factor[n] for n, move in found.items()}
        return moves, state | after

    return optax.GradientTransformation(init, update)
