"""Detectron2: parameter names and layouts, mapped to this package's.

Source: Detectron2 `modeling/backbone/{resnet,fpn}.py`, `modeling/roi_heads`, `layers/batch_norm.py`.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from maskrcnn_jax.checkpoints.convert.detectron2_names import (
    BOTTOM_UP,
    BOX_HEAD,
    MASK_HEAD,
    PREDICTOR,
    RPN_HEAD,
    current_name,
    is_backbone,
)
from maskrcnn_jax.checkpoints.convert.layout import Axes, FlattenedChannelsFirst, Layout, Same, TransposedConv
from maskrcnn_jax.checkpoints.convert.parts import resnet
from maskrcnn_jax.checkpoints.convert.rules import Rule
from maskrcnn_jax.config import ModelConfig

NORM_PARTS = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
CONV, LINEAR = Axes((2, 3, 1, 0)), Axes((1, 0))


def rules(names: Iterable[str], config: ModelConfig, source_names: Collection[str]) -> dict[str, Rule]:
    """How parameters are read from a file, in any of Detectron2's spellings.

    Args:
        names: of the parameters and statistics.
        config: of the model that has them.
        source_names: names in the file.

    Returns:
        One rule for each array that Detectron2 has, too; only those of the backbone if the file has no others.
    """
    spelling = {current_name(name): name for name in source_names}
    wanted = (name for name in names if name.startswith("backbone.")) if is_backbone(source_names) else names
    found = {name: _rule(name, config, spelling) for name in wanted}
    return {name: rule for name, rule in found.items() if rule is not None}


def _rule(name: str, config: ModelConfig, spelling: Mapping[str, str]) -> Rule | None:
    layer, layout = _layer(name, config)
    if layer is None:
        return None
    kind = name.rpartition(".")[2]
    if ".norm." not in name:
        source = f"{layer}.weight" if kind == "kernel" else f"{layer}.bias"
        return Rule((spelling.get(source, source),), layout.read if kind == "kernel" else Same().read)
    source, scale = f"{layer}.norm.{NORM_PARTS[kind]}", spelling.get(f"{layer}.norm.weight")
    if source not in spelling and scale is not None and kind in ("mean", "var"):
        # Scale and bias are the whole norm: these statistics make it do nothing else.
        value = 0.0 if kind == "mean" else 1.0 - resnet(config).norm_eps
        return Rule((scale,), lambda affine: np.full_like(affine, value))
    return Rule((spelling.get(source, source),), Same().read)


def _layer(name: str, config: ModelConfig) -> tuple[str | None, Layout]:
    """Detectron2's layer that holds a parameter, and the layout of its weight."""
    match name.split("."):
        case ["backbone", "stem", _, _]:
            return f"{BOTTOM_UP}.stem.conv1", CONV
        case ["backbone", stage, block, "convs", index, _, _]:
            return f"{BOTTOM_UP}.{_stage(stage)}.{block}.conv{int(index) + 1}", CONV
        case ["backbone", stage, block, "shortcut", _, _]:
            return f"{BOTTOM_UP}.{_stage(stage)}.{block}.shortcut", CONV
        case ["fpn", "lateral" | "output" as kind, level, _, _]:
            return f"backbone.fpn_{kind}{int(level) + 2}", CONV
        case ["rpn_head", "convs", index, _]:
            return f"{RPN_HEAD}.conv" if config.rpn.convs == 1 else f"{RPN_HEAD}.conv.conv{index}", CONV
        case ["rpn_head", "logits", _]:
            return f"{RPN_HEAD}.objectness_logits", CONV
        case ["rpn_head", "deltas", _]:
            return f"{RPN_HEAD}.anchor_deltas", CONV
        case ["box_head", "convs", index, _, _]:
            return f"{BOX_HEAD}.conv{int(index) + 1}", CONV
        case ["box_head", "fcs", index, _]:
            layout = FlattenedChannelsFirst(config.box_head.pool_size) if index == "0" else LINEAR
            return f"{BOX_HEAD}.fc{int(index) + 1}", layout
        case ["box_head", "logits", _]:
            return f"{PREDICTOR}.cls_score", LINEAR
        case ["box_head", "deltas", _]:
            return f"{PREDICTOR}.bbox_pred", LINEAR
        case ["mask_head", "convs", index, _, _]:
            return f"{MASK_HEAD}.mask_fcn{int(index) + 1}", CONV
        case ["mask_head", "upsample", *_]:
            return f"{MASK_HEAD}.deconv", TransposedConv()
        case ["mask_head", "logits", _]:
            return f"{MASK_HEAD}.predictor", CONV
    return None, Same()


def _stage(stage: str) -> str:
    """`res2` for `layer1`."""
    return f"res{int(stage.removeprefix('layer')) + 1}"
