"""Models with fresh or trained weights."""

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError, load_weights
from maskrcnn_jax.checkpoints.convert.given import given_arrays
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, convert
from maskrcnn_jax.checkpoints.convert.systems import OWN, Recognised, recognise
from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.config import Config, ConfigError, ModelConfig
from maskrcnn_jax.config.loading import NETWORK, read_config
from maskrcnn_jax.config.serialization import to_json
from maskrcnn_jax.config.types import FindType, refuse, types_of
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn import params as weights

log = logging.getLogger(__name__)

Arrays = Mapping[str, Any]
"""By name what NumPy takes for arrays, tensors of torch in the memory of the CPU, too; or a checkpoint that holds them,
as `torch.load` gives it."""

TRAINED_WITH = (
    "input.mean",
    "input.std",
    "input.bgr",
    "backbone.norm_eps",
    "backbone.stride_in_1x1",
    "rpn.anchors.sizes",
    "rpn.anchors.aspect_ratios",
)
"""Fields that must be those that the weights were trained with."""

CLASS_ARRAYS = ("box_head.logits.", "box_head.deltas.", "mask_head.logits.")
"""Arrays that depend on the classes."""


def build_model(config: Config) -> MaskRCNN:
    """The network of an experiment before its first step: with `run.init`'s weights, or fresh ones.

    Fresh weights depend on `run.seed`.

    Raises:
        ConfigError: `run.init` cannot be loaded into the network.
    """
    source = config.run.init
    if source is None:
        return in_inference(config.customize(jax.jit(lambda: _network(config))()))
    try:
        return _fill(config, _open(source, None, config.model))
    except (ConversionError, WeightFileError, CheckpointError, ConfigError) as error:
        raise ConfigError(f"run.init = {str(source)!r}: {error}") from error


def abstract_model(config: Config) -> MaskRCNN:
    """The network of an experiment with shapes in place of weights: no memory, no computation."""
    return nnx.eval_shape(lambda: in_inference(config.customize(_network(config))))


def with_weights(config: Config, folder: Path | str, step: int | None = None) -> MaskRCNN:
    """The network of an experiment with the weights of a run folder, their moving average if the run kept one.

    Args:
        config: the experiment; its model must be the one that the run trained.
        folder: a run folder.
        step: the checkpoint; the latest by default.

    Raises:
        CheckpointError: there is no such checkpoint, it is damaged, or it belongs to another architecture.
    """
    saved = load_weights(folder, step)
    params = saved.params if saved.ema is None else saved.ema
    params, statistics = ({n: jnp.asarray(v) for n, v in d.items()} for d in (params, saved.statistics))
    model = abstract_model(config)
    try:
        return weights.replace(model, params, statistics)
    except ValueError as error:
        raise CheckpointError(f"{folder}, step {saved.step}: {error}") from error


def trained_config(source: Path | str, find_type: FindType = refuse) -> ModelConfig:
    """The architecture and the conventions of a run folder or a file of weights.

    Args:
        source: a run folder or a file of weights.
        find_type: finds types outside this package by name; see `config.types`.

    Raises:
        ConfigError, WeightFileError or ConversionError: as `load_pretrained`.
    """
    if Path(source).is_dir():
        return read_config(source, find_type, NETWORK).model
    return recognise(open_weights(source), find_type=find_type).config


def load_pretrained(
    source: Path | str | Arrays,
    step: int | None = None,
    *,
    config: Config | ModelConfig | None = None,
    class_names: Sequence[str] = (),
) -> MaskRCNN:
    """A model with trained weights, and with their architecture and conventions.

    No code in a file is ever run, and none that a run folder names: a run with a `customize` of its own needs its
    experiment as `config`. Arrays that are not in the weights start fresh, and a warning names them: everything but
    the backbone if the file has only that, and the last layers if the classes differ.

    Args:
        source: a run folder; a weight file of torchvision, Detectron2, Matterport or this package (.safetensors); or
            such arrays by name, for example `module.state_dict()`.
        step: the checkpoint of a run folder; the latest by default.
        config: the model to build, in place of the one that the weights belong to; or an experiment, whose `customize`
            is applied, too. Values that were set on the run's command line are not taken from the run: repeat them,
            `load_config(path, ["--model.mask-head.pool-size", "28"])`.
        class_names: of the classes to train on.

    Raises:
        ConfigError: a run folder or .safetensors file has no valid configuration, or one that names code.
        CheckpointError: the run folder has no such checkpoint, or a damaged one.
        WeightFileError: the file is missing, damaged, of no known format or not safe.
        ConversionError: the weights are of no supported system, or do not fit; every missing, unexpected or wrongly
            shaped array is listed.
    """
    experiment = config if isinstance(config, Config) else Config()
    model = config.model if isinstance(config, Config) else config
    if isinstance(source, str | Path) and Path(source).is_dir():
        saved = read_config(source, types_of(config), NETWORK)
        if isinstance(config, Config):
            experiment = _customized(config, saved)
            model = experiment.model
        else:
            experiment = saved
        if model in (None, saved.model) and not class_names:
            return with_weights(experiment, source, step)
    elif step is not None:
        raise ConfigError(f"step = {step}: only run folders have steps; leave it out")
    try:
        found = _open(source, step, model)
        if model is None:
            _warn_of_assumptions(found)
        model = model or found.config
        if class_names:
            model = dataclasses.replace(model, num_classes=len(class_names), class_names=tuple(class_names))
        return _fill(dataclasses.replace(experiment, model=model), found)
    except ConversionError as error:
        message = f"{source}: {error}" if isinstance(source, str | Path) else str(error)
        if isinstance(config, Config):
            message += "\n  if the run's command line set values of the model, give them too: load_config(path, flags)"
        raise ConversionError(message) from error


def _customized(experiment: Config, saved: Config) -> Config:
    """The experiment that is given for a run folder, with the run's class names if it has none of its own.

    A warning is logged if its function is not the run's.
    """
    names = experiment.model.class_names or saved.model.class_names
    if len(names) == experiment.model.num_classes:
        experiment = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, class_names=names))
    given, trained = to_json(experiment.customize), to_json(saved.customize)
    if given != trained:
        log.warning("customize = %s, but these weights were trained with %s", given, trained)
    return experiment


def in_inference(model: MaskRCNN) -> MaskRCNN:
    """The model as it is everywhere but in training: without dropout, batch norms with their running statistics."""
    model.set_attributes(deterministic=True, use_running_average=True, raise_if_not_found=False)
    return model


def _network(config: Config) -> MaskRCNN:
    return config.model.build(rngs=nnx.Rngs(config.run.seed))


def _open(source: Path | str | Arrays, step: int | None, config: ModelConfig | None) -> Recognised:
    if isinstance(source, Mapping):
        return recognise(given_arrays(source), config)
    if Path(source).is_dir():
        saved = load_weights(source, step)
        params = saved.params if saved.ema is None else saved.ema
        return Recognised(OWN, read_config(source, types_of(config), NETWORK).model, params | saved.statistics)
    return recognise(open_weights(source), config)


def _fill(config: Config, found: Recognised) -> MaskRCNN:
    """The network of an experiment with the arrays that were found; the others start fresh.

    Besides the given arrays, memory holds one copy of the weights and one array at most.
    """
    arrays = found.arrays
    structure, params, statistics = weights.flatten(abstract_model(config))
    shapes = {name: leaf.shape for name, leaf in (params | statistics).items()}
    rules = found.system.rules(shapes, config.model, arrays.keys())
    fresh = {name for name in shapes if name not in rules}
    if _other_classes(found.config, config.model):
        fresh |= {name for name in shapes if name.startswith(CLASS_ARRAYS)}
    replaced = {source for name in fresh & rules.keys() for source in rules[name].names}
    wanted = {name: shape for name, shape in shapes.items() if name not in fresh}
    read = convert(arrays, rules, wanted, found.system.unused(arrays) | replaced)
    _warn_of_fresh(fresh, shapes)
    _warn_of_differences(found, config.model)
    # Copied, as JAX may otherwise share the memory of the caller's arrays.
    values = {name: jnp.array(read.pop(name)) for name in wanted} | _fresh(config, fresh)
    params, statistics = ({name: values[name] for name in names} for names in (params, statistics))
    return weights.unflatten(structure, params, statistics)


def _other_classes(source: ModelConfig, target: ModelConfig) -> bool:
    named = source.class_names and target.class_names
    return source.num_classes != target.num_classes or bool(named and source.class_names != target.class_names)


def _fresh(config: Config, names: Collection[str]) -> dict[str, jax.Array]:
    """Freshly initialised arrays; the compiler removes the others."""

    def program() -> dict[str, jax.Array]:
        _, params, statistics = weights.flatten(config.customize(_network(config)))
        return {name: array for name, array in (params | statistics).items() if name in names}

    return jax.jit(program)() if names else {}


def _warn_of_fresh(fresh: Collection[str], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Warns of arrays that start fresh, whole parts by one name."""
    parts: dict[str, list[str]] = {}
    for name in shapes:
        parts.setdefault(name.partition(".")[0], []).append(name)
    listed = []
    for part, names in parts.items():
        new = [name for name in names if name in fresh]
        listed += [f"all {len(names)} arrays of {part}"] if len(new) == len(names) else new
    if listed:
        log.warning("these start fresh: %s", ", ".join(listed))


def _warn_of_differences(found: Recognised, target: ModelConfig) -> None:
    """Warns of what was ignored or assumed, and of conventions that differ from those of the training."""
    for note in found.notes:
        log.warning("%s", note)
    for name in dict.fromkeys((*TRAINED_WITH, *found.assumed)):
        given, trained = (_field(config, name) for config in (target, found.config))
        reason = found.assumed.get(name)
        if given != trained and reason is None:
            log.warning("model.%s = %s, but these weights were trained with %s", name, given, trained)
        elif given != trained:
            log.warning("model.%s = %s, but %s is assumed of these weights: %s", name, given, trained, reason)


def _warn_of_assumptions(found: Recognised) -> None:
    """Warns of the fields that are assumed."""
    fields: dict[str, list[str]] = {}
    for name, reason in found.assumed.items():
        fields.setdefault(reason, []).append(f"model.{name} = {_field(found.config, name)}")
    for reason, values in fields.items():
        log.warning("assumed %s, because %s; if that is wrong, pass config=…", ", ".join(values), reason)


def _field(config: ModelConfig, name: str) -> Any:
    section, *fields = name.split(".")
    value = getattr(config, section)
    for field in fields:
        value = getattr(value, field, None)  # a part of another type may have no such field
    return value
