"""The systems whose weights can be loaded, and which of them given weights are of."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.convert import (
    detectron2,
    detectron2_model,
    detectron2_names,
    matterport,
    matterport_model,
    own,
    torchvision,
    torchvision_model,
)
from maskrcnn_jax.convert.files import WeightFile
from maskrcnn_jax.convert.rules import ConversionError, Rule
from maskrcnn_jax.convert.stored import shape_of
from maskrcnn_jax.plural import counted

Shapes = Mapping[str, tuple[int, ...]]


class System(NamedTuple):
    """What is known of a system's weights."""

    recognise: Callable[[Shapes], ModelConfig | None]
    """The model that arrays of these names and shapes belong to; None if they are another system's."""
    rules: Callable[[Iterable[str], ModelConfig, Collection[str]], dict[str, Rule]]
    """How arrays of ours are made of theirs, given our names and theirs; those without a rule start fresh."""
    unused: Callable[[Iterable[str]], set[str]]
    """Which of their names are left out."""


SYSTEMS = {
    "torchvision": System(torchvision_model.recognise, torchvision.rules, torchvision_model.unused),
    "Detectron2": System(detectron2_model.recognise, detectron2.rules, detectron2_names.unused),
    "Matterport": System(matterport_model.recognise, matterport.rules, matterport.unused),
}
OURS = System(lambda _: None, own.rules, lambda _: set())


class Recognised(NamedTuple):
    """What given weights are."""

    system: System
    config: ModelConfig
    """The model with the architecture and the conventions that belong to the weights."""


def recognise(arrays: Mapping[str, Any], config: ModelConfig | None = None) -> Recognised:
    """Which system arrays are of, by their names and shapes, or by what a .safetensors file of ours says.

    Args:
        arrays: by name.
        config: of the model that has the arrays; needed where they are our own without a configuration.

    Raises:
        ConversionError: no known system has such names.
    """
    written = own.read_config(arrays.metadata) if isinstance(arrays, WeightFile) else None
    if written is not None:
        return Recognised(OURS, written)
    if own.KNOWN_BY in arrays:
        if config is None:
            raise ConversionError("these are arrays of ours without a configuration: pass config=…")
        return Recognised(OURS, config)
    shapes = {name: shape_of(arrays, name) for name in arrays}
    for system in SYSTEMS.values():
        if found := system.recognise(shapes):
            return Recognised(system, found)
    some = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:8])
    raise ConversionError(
        f"of no known system: {counted(len(shapes), 'array')} such as {some}. Known are ResNets with FPN of "
        f"{', '.join(SYSTEMS)} and our own run folders and .safetensors"
    )
