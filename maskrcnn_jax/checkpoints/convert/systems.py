"""The systems whose weights can be loaded, and which of them given weights belong to."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.checkpoints.convert import (
    detectron2,
    detectron2_model,
    detectron2_names,
    detectron2_values,
    incomplete,
    matterport,
    matterport_model,
    matterport_values,
    own,
    torchvision,
    torchvision_model,
    torchvision_values,
)
from maskrcnn_jax.checkpoints.convert.architecture import Shapes
from maskrcnn_jax.checkpoints.convert.naming import Naming, RenamedArrays, namings
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, Rule
from maskrcnn_jax.checkpoints.convert.values import Reading
from maskrcnn_jax.checkpoints.formats.files import WeightFile
from maskrcnn_jax.checkpoints.formats.stored import shape_of
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.config.types import FindType, types_of
from maskrcnn_jax.messages.counts import listed, pluralize


class System(NamedTuple):
    """How a system's weights are recognised and read."""

    recognise: Callable[[Shapes], ModelConfig | None]
    """The model that arrays of these names and shapes belong to; None if they are another system's."""
    complete: Callable[[Shapes], Shapes | None]
    """Shapes with those that `recognise` requires added; None if they are another system's."""
    rules: Callable[[Iterable[str], ModelConfig, Collection[str]], dict[str, Rule]]
    """Rules of the target arrays, given target names, model and source names; arrays without a rule start fresh."""
    unused: Callable[[Iterable[str]], set[str]]
    """The source names that are ignored."""
    read: Callable[[Mapping[str, Any], ModelConfig, Path | None], Reading]
    """Settings of the model that values, and files beside the weights, have and shapes do not."""
    parts: tuple[str, ...]
    """Prefixes of the network's arrays; others belong to the training program."""


SYSTEMS = {
    "torchvision": System(
        torchvision_model.recognise,
        incomplete.torchvision,
        torchvision.rules,
        torchvision_model.unused,
        torchvision_values.read,
        ("backbone.", "rpn.", "roi_heads.", "conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.", "fc."),
    ),
    "Detectron2": System(
        detectron2_model.recognise,
        incomplete.detectron2,
        detectron2.rules,
        detectron2_names.unused,
        detectron2_values.read,
        detectron2_names.PARTS,
    ),
    "Matterport": System(
        matterport_model.recognise,
        incomplete.matterport,
        matterport.rules,
        matterport.unused,
        matterport_values.read,
        ("conv1/", "bn", "res", "fpn_", "rpn_", "mrcnn_", "anchors/"),
    ),
}
OWN = System(
    lambda _: None, lambda _: None, own.rules, lambda _: set(), lambda arrays, config, path: Reading(config), ("",)
)


class Recognised(NamedTuple):
    """Weights of a recognised system."""

    system: System
    config: ModelConfig
    """The model with the architecture and the conventions that belong to the weights."""
    arrays: Mapping[str, Any]
    """The network's arrays, by the system's names."""
    notes: tuple[str, ...] = ()
    """What was removed from the names, ignored, or read from values and files beside, in sentences."""
    assumed: Mapping[str, str] = {}
    """Fields of the model, such as "backbone.norm_eps", that no file has; and the reason for the assumed value."""


def recognise(
    arrays: Mapping[str, Any], config: ModelConfig | None = None, find_type: FindType | None = None
) -> Recognised:
    """The system that arrays belong to, by their names and shapes, or by the metadata of a .safetensors file.

    A prefix or a wrapper's part is removed from the names where that leads to a system. Incomplete weights are
    recognised, too; converting them lists what is missing.

    Args:
        arrays: by name.
        config: of the model that has the arrays; needed where they are this package's without a configuration, or
            where the settings of a file are not supported.
        find_type: finds types outside this package that a .safetensors file names; those of `config` by default.

    Raises:
        ConversionError: no system has such names, or the settings of the file are not supported.
    """
    find_type = find_type or types_of(config)
    written = own.read_config(arrays.metadata, find_type) if isinstance(arrays, WeightFile) else None
    if written is not None:
        return Recognised(OWN, written, arrays)
    if any(name in arrays for name in own.KNOWN_BY):
        if config is None:
            raise ConversionError("this package's own arrays without a configuration: pass config=…")
        return Recognised(OWN, config, arrays)
    shapes = {name: shape_of(arrays, name) for name in arrays}
    for naming in namings(shapes):
        for system in SYSTEMS.values():
            found = _recognise(system, naming, shapes)
            if found is not None:
                path = arrays.path if isinstance(arrays, WeightFile) else None
                return _described(system, found, naming, arrays, path, config)
    some = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:8])
    raise ConversionError(
        f"unrecognised checkpoint format: {pluralize(len(shapes), 'array')} such as {some}. Supported are ResNets with "
        f"FPN of {', '.join(SYSTEMS)}, and run folders and .safetensors of this package"
    )


class _Found(NamedTuple):
    config: ModelConfig
    names: set[str]
    """Of the network's arrays, as the naming reads them."""


def _recognise(system: System, naming: Naming, shapes: Shapes) -> _Found | None:
    read = {name: shapes[whole] for name, whole in naming.names.items() if name.startswith(system.parts)}
    try:
        # Shapes that are added for missing arrays leave the others as they are.
        for given in (system.complete(read), read):
            config = None if given is None else system.recognise(given)
            if given is not None and config is not None:
                return _Found(config, read.keys() & given.keys())
    except (LookupError, ValueError, ZeroDivisionError):
        # An array has other dimensions than its name implies.
        return None
    return None


def _described(
    system: System,
    found: _Found,
    naming: Naming,
    arrays: Mapping[str, Any],
    path: Path | None,
    config: ModelConfig | None,
) -> Recognised:
    names = {name: whole for name, whole in naming.names.items() if name in found.names}
    network = RenamedArrays(arrays, names) if len(names) < len(arrays) or naming.change else arrays
    notes = [f"removed from the names of the weights: {naming.change}"] if naming.change else []
    used = set(names.values())
    beside = [whole for whole in arrays if whole not in used]
    if beside:
        notes.append(f"unused arrays beside the network: {listed(beside)}")
    try:
        reading = system.read(network, found.config, path)
    except ConversionError:
        if config is None:
            raise
        reading = Reading(found.config)
    return Recognised(system, reading.config, network, (*notes, *reading.notes), reading.assumed)
