"""The kind of each array of a network by its name, in this project's names and in those of other systems."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Role = Literal["kernel", "bias", "norm scale", "norm bias", "mean", "variance", "other"]

WORDS: dict[Role, tuple[str, ...]] = {
    "kernel": ("kernel", "weight", "w"),
    "norm scale": ("scale", "gamma", "s"),
    "bias": ("bias", "beta", "b"),
    "mean": ("mean", "rm"),
    "variance": ("var", "variance", "riv"),
}
"""Last words of names: Flax's, PyTorch's, Keras's, Caffe2's."""
ENDINGS = {word: role for role, words in WORDS.items() for word in words}

OUTPUTS_FIRST = ("weight", "w")
OUTPUT_LAYERS = ("logits", "deltas")
"""This project's layers that make predictions: they are initialised smaller than others."""

FRESH: dict[Role, float] = {"bias": 0.0, "norm bias": 0.0, "norm scale": 1.0, "mean": 0.0, "variance": 1.0}
"""The value of all elements of an array before training."""


class Kind(NamedTuple):
    """The kind of an array."""

    role: Role
    group: str
    """Arrays that are compared with each other: "3×3 kernel", "linear kernel", "bias"."""
    outputs: int | None
    """The axis of a kernel's output channels."""


def layer_kinds(shapes: Mapping[str, Sequence[int]]) -> dict[str, Kind]:
    """The kinds of all arrays of a network by name; a name of unknown form gives "other"."""
    split = {name: _last_word(name) for name in shapes}
    normed = {layer for name, (layer, word) in split.items() if _role(word, shapes[name]) == "norm scale"}
    return {name: _kind(layer, word, tuple(shapes[name]), layer in normed) for name, (layer, word) in split.items()}


def _last_word(name: str) -> tuple[str, str]:
    """`"layer1.0.bn1.running_mean"` → `"layer1.0.bn1"`, `"mean"`; Keras ends names with `:0`."""
    *layer, word = re.split(r"[./_](?=[^./_]*$)", name.split(":")[0])
    return re.sub(r"[./_](running|moving)$", "", "".join(layer)), word


def _role(word: str, shape: Sequence[int]) -> Role:
    role = ENDINGS.get(word, "other")
    if role == "kernel" and len(shape) < 2:
        return "norm scale"  # PyTorch's norms call it weight too
    return role


def _kind(layer: str, word: str, shape: tuple[int, ...], normed: bool) -> Kind:
    role = _role(word, shape)
    if role == "bias" and normed:
        role = "norm bias"
    if role != "kernel":
        return Kind(role, role, None)
    if re.split(r"[./]", layer)[-1] in OUTPUT_LAYERS:
        group = "output kernel"
    elif len(shape) == 2:
        group = "linear kernel"
    else:
        group = f"{'×'.join(map(str, shape[2:] if word in OUTPUTS_FIRST else shape[:-2]))} kernel"
    return Kind(role, group, 0 if word in OUTPUTS_FIRST else len(shape) - 1)


def fan_in(shape: Sequence[int], kind: Kind) -> int:
    """Number of inputs of each output of a kernel; 1 for other arrays."""
    return math.prod(shape) // max(shape[kind.outputs], 1) if kind.outputs is not None else 1
