"""The systems whose weights can be loaded, and which of them given weights are of."""

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
from maskrcnn_jax.checkpoints.convert.naming import Naming, RenamedArrays, namings
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, Rule
from maskrcnn_jax.checkpoints.convert.values import Reading
from maskrcnn_jax.checkpoints.formats.files import WeightFile
from maskrcnn_jax.checkpoints.formats.stored import shape_of
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.config.types import FindType, types_of
from maskrcnn_jax.messages.counts import listed, pluralize

Shapes = Mapping[str, tuple[int, ...]]


class System(NamedTuple):
    """What is known of a system's weights."""

    recognise: Callable[[Shapes], ModelConfig | None]
    """The model that arrays of these names and shapes belong to; None if they are another system's."""
    complete: Callable[[Shapes], Shapes | None]
    """Shapes with those that `recognise` wants and that are missing; None if they are another system's."""
    rules: Callable[[Iterable[str], ModelConfig, Collection[str]], dict[str, Rule]]
    """How arrays of ours are made of theirs, given our names and theirs; those without a rule start fresh."""
    unused: Callable[[Iterable[str]], set[str]]
    """Which of their names are left out."""
    read: Callable[[Mapping[str, Any], ModelConfig, Path | None], Reading]
    """What the values, and files beside the file, say of the model that the shapes do not."""
    parts: tuple[str, ...]
    """How the names of its network begin; other arrays are a training program's."""


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
OURS = System(
    lambda _: None, lambda _: None, own.rules, lambda _: set(), lambda arrays, config, path: Reading(config), ("",)
)


class Recognised(NamedTuple):
    """What given weights are."""

    system: System
    config: ModelConfig
    """The model with the architecture and the conventions that belong to the weights."""
    arrays: Mapping[str, Any]
    """Those of the network, by the system's own names."""
    notes: tuple[str, ...] = ()
    """What was taken off the names, left out, or taken from values and files beside, in sentences."""
    assumed: Mapping[str, str] = {}
    """Fields of the model, such as "backbone.norm_eps", that no file says; and what the assumption rests on."""


def recognise(
    arrays: Mapping[str, Any], config: ModelConfig | None = None, find_type: FindType | None = None
) -> Recognised:
    """Which system arrays are of, by their names and shapes, or by what a .safetensors file of ours says.

    A prefix or a wrapper's part is taken off the names where that leads to a system. Weights that miss some arrays are
    recognised too; converting them lists what is missing.

    Args:
        arrays: by name.
        config: of the model that has the arrays; needed where they are our own without a configuration, or where what
            a file says of its model is not supported.
        find_type: finds types outside this package that a file of ours names; those of `config` by default.

    Raises:
        ConversionError: no known system has such names, or the file says that its model is not supported.
    """
    find_type = find_type or types_of(config)
    written = own.read_config(arrays.metadata, find_type) if isinstance(arrays, WeightFile) else None
    if written is not None:
        return Recognised(OURS, written, arrays)
    if any(name in arrays for name in own.KNOWN_BY):
        if config is None:
            raise ConversionError("these are arrays of ours without a configuration: pass config=…")
        return Recognised(OURS, config, arrays)
    shapes = {name: shape_of(arrays, name) for name in arrays}
    for naming in namings(shapes):
        for system in SYSTEMS.values():
            found = _recognise(system, naming, shapes)
            if found is not None:
                path = arrays.path if isinstance(arrays, WeightFile) else None
                return _described(system, found, naming, arrays, path, config)
    some = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:8])
    raise ConversionError(
        f"of no known system: {pluralize(len(shapes), 'array')} such as {some}. Known are ResNets with FPN of "
        f"{', '.join(SYSTEMS)} and our own run folders and .safetensors"
    )


class _Found(NamedTuple):
    config: ModelConfig
    names: set[str]
    """Of arrays of the network, as the naming reads them."""


def _recognise(system: System, naming: Naming, shapes: Shapes) -> _Found | None:
    read = {name: shapes[whole] for name, whole in naming.names.items() if name.startswith(system.parts)}
    try:
        # What is put in for missing arrays leaves those that are there as they are.
        for given in (system.complete(read), read):
            config = None if given is None else system.recognise(given)
            if given is not None and config is not None:
                return _Found(config, read.keys() & given.keys())
    except (LookupError, ValueError, ZeroDivisionError):
        # An array has other dimensions than its name promises.
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
    notes = [f"taken off the names of the weights: {naming.change}"] if naming.change else []
    used = set(names.values())
    beside = [whole for whole in arrays if whole not in used]
    if beside:
        notes.append(f"arrays beside the network are not used: {listed(beside)}")
    try:
        reading = system.read(network, found.config, path)
    except ConversionError:
        if config is None:
            raise
        reading = Reading(found.config)
    return Recognised(system, reading.config, network, (*notes, *reading.notes), reading.assumed)
