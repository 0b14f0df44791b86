"""Architectures read from the shapes of arrays: what `recognise` of the systems has in common."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80
from maskrcnn_jax.config import ModelConfig, Norm
from maskrcnn_jax.nn.backbones.resnet import BLOCKS, Depth

Shapes = Mapping[str, tuple[int, ...]]


def resnet_depth(blocks: Iterable[int], bottleneck: bool) -> Depth | None:
    """The depth of the ResNet that has these numbers of blocks per stage; None if there is none."""
    wanted = tuple(blocks)
    return next((depth for depth, counts in BLOCKS.items() if counts == wanted and (depth >= 50) == bottleneck), None)


def smallest_resnet(blocks: Sequence[int], bottleneck: bool) -> tuple[int, ...] | None:
    """Blocks per stage of the smallest ResNet that has at least `blocks`; None if there is none or a stage is empty."""
    if not all(blocks):
        return None
    known = (counts for depth, counts in BLOCKS.items() if (depth >= 50) == bottleneck)
    return next((counts for counts in known if all(a >= b for a, b in zip(counts, blocks, strict=True))), None)


def norm_of(shapes: Shapes, module: str, batch: Norm = "batch") -> Norm:
    """The norm whose arrays are `module.weight` and so on, as PyTorch names them; group norm has no statistics.

    Args:
        shapes: of the arrays, by name.
        module: the name of the norm.
        batch: what a batch norm is called: "batch" or "frozen_batch".
    """
    if f"{module}.running_mean" in shapes:
        return batch
    return "group" if f"{module}.weight" in shapes else "none"


def series(shapes: Shapes, pattern: str, first: int = 0) -> list[tuple[int, ...]]:
    """Shapes of the arrays that `pattern` names with `first`, `first` + 1, … for its #, up to the first missing one."""
    names = (pattern.replace("#", str(number)) for number in itertools.count(first))
    return [shapes[name] for name in itertools.takewhile(shapes.__contains__, names)]


def required(shapes: Shapes, names: Iterable[str]) -> list[tuple[int, ...]] | None:
    """The shapes of arrays that every detector of a system has; None if one is missing."""
    found = [shapes.get(name) for name in names]
    present = [shape for shape in found if shape is not None]
    return present if len(present) == len(found) else None


def with_classes(
    model: ModelConfig, count: int, known: Iterable[tuple[str, ...]] = (COCO_80,), **parts: Any
) -> ModelConfig:
    """The model with a number of classes, with those of the known class names that are as many, and with its parts."""
    names = next((names for names in known if len(names) == count), ())
    return replace(model, num_classes=count, class_names=names, **parts)
