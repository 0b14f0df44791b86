"""The optimizer: schedule, clipping, weight decay, the trainable parameters of each phase."""

import bisect
import re
from collections.abc import Iterable, Sequence, Set

import jax.numpy as jnp
import optax

from maskrcnn_jax.config import Backbone, ConfigError, OptimizerConfig
from maskrcnn_jax.nn.params import Arrays


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """The learning rate as a function of the steps taken, times the rate of the phase.

    Linear warm-up, then a tenth at each milestone or half a cosine to 0.

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
    """The index of the phase of the next step after `steps` steps."""
    return bisect.bisect_right(_ends(config), steps)


def _ends(config: OptimizerConfig) -> list[int]:
    """The last steps of all phases but the last."""
    return [phase.until for phase in config.phases if phase.until is not None]


def trainable_names(names: Iterable[str], config: OptimizerConfig, backbone: Backbone) -> list[set[str]]:
    """The parameters that are trained in each phase.

    Args:
        names: dotted names of all parameters.
        config: has the phases.
        backbone: of the model that has the parameters; it declares the stages that phases name.

    Raises:
        ConfigError: no parameter is trained in one of the phases, or a phase names a stage of the backbone, and the
            parameters are not those of the stages that it declares.
    """
    names, found = list(names), []
    for i, phase in enumerate(config.phases):
        where = f"optimizer.phases[{i}].trains"
        trained = {name for name in names if _is_trained(name, phase.trains, backbone)}
        stage = phase.trains.removesuffix("+")
        if phase.trains != stage and stage in backbone.stages:
            _require_stages(where, phase.trains, names, backbone)
        if phase.trains == "heads" and not any(name.startswith("backbone.") for name in names):
            raise ConfigError(f"{where} = 'heads': the model has no parameter under 'backbone.', so nothing is frozen")
        if not trained:
            raise ConfigError(
                f"{where} = {phase.trains!r} matches no parameter; give {', '.join(_phase_names(backbone))}, or a "
                f"regular expression for names like {', '.join(_examples(names))}"
            )
        found.append(trained)
    return found


def _phase_names(backbone: Backbone) -> list[str]:
    """What a phase may train by name, as Matterport's."""
    return ["heads", *(f"{stage}+" for stage in reversed(list(backbone.stages)[1:])), "all"]


def _is_trained(name: str, trains: str, backbone: Backbone) -> bool:
    if trains == "all":
        return True
    if trains == "heads":
        return not name.startswith("backbone.")
    stages = list(backbone.stages)
    if trains.endswith("+") and trains[:-1] in stages:
        frozen = [part for stage in stages[: stages.index(trains[:-1])] for part in backbone.stages[stage]]
        return not any(f"{name}.".startswith(f"backbone.{part}.") for part in frozen)
    return re.match(trains, name) is not None


def _require_stages(where: str, trains: str, names: Sequence[str], backbone: Backbone) -> None:
    """Raises ConfigError unless the backbone's parameters are those of the stages that it declares."""
    inside = [name.removeprefix("backbone.") for name in names if name.startswith("backbone.")]
    parts = [part for own in backbone.stages.values() for part in own]
    outside = [name for name in inside if not any(f"{name}.".startswith(f"{part}.") for part in parts)]
    if outside or not inside:
        raise ConfigError(
            f"{where} = {trains!r}: the stages that {type(backbone).__name__} declares do not cover the parameters of "
            f"the backbone, such as {', '.join(outside[:3]) or 'none'}; correct its `stages`, or, where `customize` "
            "replaced the backbone, give a regular expression"
        )


def factors(names: Iterable[str], config: OptimizerConfig) -> dict[str, float]:
    """The multiplier of each parameter's learning rate.

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
    config: OptimizerConfig, factor: dict[str, float], trainable: Sequence[Set[str]]
) -> optax.GradientTransformation:
    """The transformation from gradients to updates: what a learning rate of 1 subtracts. All are dicts by dotted name.

    A step gives the gradients of the parameters that are trainable in its phase and gets their updates; the state of
    the others stays. Parameters that are trainable in the same phases share a state, so that those that begin later
    begin with a fresh one. Weight decay does not apply to vectors, that is norms and biases. SGD adds it to the
    gradient (PyTorch, Detectron2), AdamW to the update.

    Args:
        config: which optimizer and its numbers.
        factor: multiplier of each parameter's update.
        trainable: the parameters that are trainable in each phase.
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
        phases = [str(i) for i, names in enumerate(trainable) if name in names]
        if phases:
            cohorts.setdefault("phases_" + "_".join(phases), []).append(name)

    def init(params: Arrays) -> dict[str, optax.OptState]:
        return {cohort: rule.init({n: params[n] for n in names}) for cohort, names in cohorts.items()}

    def update(grads: Arrays, state: dict[str, optax.OptState], params: Arrays):
        grads, _ = clip.update(grads, clip.init(grads))
        updates: Arrays = {}
        after: dict[str, optax.OptState] = {}
        for cohort, names in cohorts.items():
            if names[0] in grads:
                mine, weights = ({n: arrays[n] for n in names} for arrays in (grads, params))
                found, after[cohort] = rule.update(mine, state[cohort], weights)
                updates |= {n: update * factor[n] for n, update in found.items()}
        return updates, state | after

    return optax.GradientTransformation(init, update)
