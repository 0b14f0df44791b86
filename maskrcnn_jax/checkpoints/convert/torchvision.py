"""torchvision: parameter names and layouts of its state dicts, mapped to this package's and back.

Two spellings exist: the published v1 files have the older one, without the index of a convolution inside its block.
A plain ResNet, as trained on ImageNet, has the names of a backbone without prefix.

Source: torchvision `models/detection/{faster_rcnn,mask_rcnn,rpn}.py`, `ops/feature_pyramid_network.py`.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from maskrcnn_jax.checkpoints.convert.layout import (
    Axes,
    BackgroundFirst,
    FlattenedChannelsFirst,
    Layout,
    NoBackground,
    Same,
    TransposedConv,
)
from maskrcnn_jax.checkpoints.convert.rules import Rule
from maskrcnn_jax.checkpoints.convert.torchvision_model import BODY, is_older, is_plain
from maskrcnn_jax.config import ModelConfig

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
CONV, LINEAR = Axes((2, 3, 1, 0)), Axes((1, 0))


class Entry(NamedTuple):
    """The entry of a state dict that holds a parameter."""

    name: str
    layout: Layout


def rules(names: Iterable[str], config: ModelConfig, source_names: Collection[str]) -> dict[str, Rule]:
    """How parameters are read from a state dict, in either spelling.

    Args:
        names: of the parameters and statistics.
        config: of the model that has them.
        source_names: names in the state dict.

    Returns:
        One rule for each array that torchvision has, too; only those of the backbone if the state dict is a plain
        ResNet's.
    """
    older = is_older(source_names)
    entries = {name: entry(name, config, older) for name in names}
    if is_plain(source_names):
        entries = {name: _without_prefix(found) for name, found in entries.items()}
    return {name: Rule((found.name,), found.layout.read) for name, found in entries.items() if found is not None}


def entry(parameter: str, config: ModelConfig, older: bool = False) -> Entry | None:
    """The entry of a state dict that holds a parameter; None if torchvision has none like it.

    Args:
        parameter: its name, or that of a statistic.
        config: of the model that has it.
        older: in the older spelling.
    """
    module, _, leaf = parameter.rpartition(".")
    name = _module(module, config, older)
    if name is None or leaf not in LEAVES:
        return None
    return Entry(f"{name}.{LEAVES[leaf]}", _layout(module, leaf, config))


def _module(parameter: str, config: ModelConfig, older: bool) -> str | None:
    inner = "" if older else ".0"
    match parameter.split("."):
        case ["backbone", "stem", kind]:
            return f"{BODY}{_kind(kind)}1"
        case ["backbone", stage, block, "convs", i, kind]:
            return f"{BODY}{stage}.{block}.{_kind(kind)}{int(i) + 1}"
        case ["backbone", stage, block, "shortcut", kind]:
            return f"{BODY}{stage}.{block}.downsample{_index(kind)}"
        case ["fpn", "lateral" | "output" as part, level, kind]:
            blocks = "inner_blocks" if part == "lateral" else "layer_blocks"
            return f"backbone.fpn.{blocks}.{level}{inner and _index(kind)}"
        case ["rpn_head", "convs", i]:
            return "rpn.head.conv" if older else f"rpn.head.conv.{i}.0"
        case ["rpn_head", "logits" | "deltas" as output]:
            return f"rpn.head.{'cls_logits' if output == 'logits' else 'bbox_pred'}"
        case ["box_head", "convs", i, kind]:
            return f"roi_heads.box_head.{i}{_index(kind)}"
        case ["box_head", "fcs", i]:
            return f"roi_heads.box_head.{_fc(int(i), config)}"
        case ["box_head", "logits" | "deltas" as output]:
            return f"roi_heads.box_predictor.{'cls_score' if output == 'logits' else 'bbox_pred'}"
        case ["mask_head", "convs", i, kind]:
            return f"roi_heads.mask_head.{f'mask_fcn{int(i) + 1}' if older else f'{i}{_index(kind)}'}"
        case ["mask_head", "upsample"] | ["mask_head", "upsample", "conv"]:
            return "roi_heads.mask_predictor.conv5_mask"
        case ["mask_head", "logits"]:
            return "roi_heads.mask_predictor.mask_fcn_logits"
    return None


def _kind(kind: str) -> str:
    return "conv" if kind == "conv" else "bn"


def _index(kind: str) -> str:
    """Of a convolution or its norm in the block of the two."""
    return ".0" if kind == "conv" else ".1"


def _fc(i: int, config: ModelConfig) -> str:
    """The name of a fully connected layer: its index among convolutions, flattening and ReLUs, or fc6 and fc7."""
    head = config.box_head
    return f"fc{6 + i}" if two_fcs(config) else str(head.convs + 1 + 2 * i)


def two_fcs(config: ModelConfig) -> bool:
    """Whether the box head is torchvision's `TwoMLPHead`."""
    head = config.box_head
    return head.convs == 0 and len(head.fcs) == 2 and head.fcs[0] == head.fcs[1]


def _layout(module: str, leaf: str, config: ModelConfig) -> Layout:
    layout = _kernel(module, config) if leaf == "kernel" else Same()
    if module == "box_head.logits":
        return BackgroundFirst(layout)
    values = {"box_head.deltas": 4, "mask_head.logits": 1}.get(module)
    if values is None:
        return layout
    return BackgroundFirst(layout, values) if config.background_outputs else NoBackground(layout, values)


def _kernel(module: str, config: ModelConfig) -> Layout:
    match module.split("."):
        case ["box_head", "fcs", "0"]:
            return FlattenedChannelsFirst(config.box_head.pool_size)
        case ["box_head", "fcs", _] | ["box_head", "logits" | "deltas"]:
            return LINEAR
        case ["mask_head", "upsample", "conv"]:
            return TransposedConv()
    return CONV


def _without_prefix(found: Entry | None) -> Entry | None:
    if found is None or not found.name.startswith(BODY):
        return None
    return found._replace(name=found.name.removeprefix(BODY))
