"""Matterport's Mask R-CNN: layer names and layouts, mapped to this package's.

Its network differs in these ways:
- A convolution with a bias stands before every batch norm. The bias is taken from the running mean, which makes the
  same function.
- Objectness is a softmax over (background, object), which is the sigmoid of the difference of the two.
- Boxes are (y, x, height, width), and background comes before the classes.

Source: matterport/Mask_RCNN `mrcnn/model.py`.
"""

from collections.abc import Callable, Collection, Iterable

import numpy as np

from maskrcnn_jax.checkpoints.convert.rules import Rule
from maskrcnn_jax.config import ModelConfig

NORM_PARTS = {"scale": "gamma", "bias": "beta", "var": "moving_variance"}


def rules(names: Iterable[str], config: ModelConfig, source_names: Collection[str]) -> dict[str, Rule]:
    """How parameters are read from a file.

    Args:
        names: of the parameters and statistics.
        config: unused.
        source_names: unused, as there is one spelling only.

    Returns:
        One rule for each array that Matterport's network has, too.
    """
    found = {name: _rule(name) for name in names}
    return {name: rule for name, rule in found.items() if rule is not None}


def unused(names: Iterable[str]) -> set[str]:
    """Names in a file without a counterpart here: anchors that some forks save as weights."""
    return {name for name in names if name.startswith("anchors/")}


def _rule(name: str) -> Rule | None:
    conv, norm, read = _layers(name)
    if conv is None:
        return None
    path, _, kind = name.rpartition(".")
    if not path.endswith(".norm") and ".norms." not in path:
        return Rule((f"{conv}/{kind}",), read)
    if kind == "mean":
        return Rule((f"{norm}/moving_mean", f"{conv}/bias"), np.subtract)
    return Rule((f"{norm}/{NORM_PARTS[kind]}",), _same)


def _layers(name: str) -> tuple[str | None, str | None, Callable[[np.ndarray], np.ndarray]]:
    """Matterport's convolution and norm that hold a parameter, and how kernel and bias are converted."""
    match name.split("."):
        case ["backbone", "stem", _, _]:
            return "conv1", "bn_conv1", _same
        case ["backbone", stage, block, "convs", index, _, _]:
            layer = f"{_stage(stage, block)}_branch2{'abc'[int(index)]}"
            return f"res{layer}", f"bn{layer}", _same
        case ["backbone", stage, block, "shortcut", _, _]:
            layer = f"{_stage(stage, block)}_branch1"
            return f"res{layer}", f"bn{layer}", _same
        case ["fpn", "lateral", level, "conv", _]:
            return f"fpn_c{int(level) + 2}p{int(level) + 2}", None, _same
        case ["fpn", "output", level, "conv", _]:
            return f"fpn_p{int(level) + 2}", None, _same
        case ["rpn_head", "convs", "0", _]:
            return "rpn_conv_shared", None, _same
        case ["rpn_head", "logits", _]:
            return "rpn_class_raw", None, _objectness
        case ["rpn_head", "deltas", _]:
            return "rpn_bbox_pred", None, _width_first
        case ["box_head", "fcs" | "norms", index, _]:
            return f"mrcnn_class_conv{int(index) + 1}", f"mrcnn_class_bn{int(index) + 1}", _linear
        case ["box_head", "logits", _]:
            return "mrcnn_class_logits", None, _background_last
        case ["box_head", "deltas", _]:
            return "mrcnn_bbox_fc", None, lambda source: _width_first(np.roll(source, -4, axis=-1))
        case ["mask_head", "convs", index, _, _]:
            return f"mrcnn_mask_conv{int(index) + 1}", f"mrcnn_mask_bn{int(index) + 1}", _same
        case ["mask_head", "upsample", "conv", _]:
            return "mrcnn_mask_deconv", None, _side_by_side
        case ["mask_head", "upsample", "bias"]:
            return "mrcnn_mask_deconv", None, _same
        case ["mask_head", "logits", _]:
            return "mrcnn_mask", None, _background_last
    return None, None, _same


def _stage(stage: str, block: str) -> str:
    """`3c` for the third block of `layer2`."""
    return f"{int(stage.removeprefix('layer')) + 1}{chr(ord('a') + int(block))}"


def _same(source: np.ndarray) -> np.ndarray:
    return source


def _objectness(source: np.ndarray) -> np.ndarray:
    """(background, object) per anchor to the logit of a sigmoid."""
    pairs = source.reshape(*source.shape[:-1], -1, 2)
    return pairs[..., 1] - pairs[..., 0]


def _width_first(source: np.ndarray) -> np.ndarray:
    """(dy, dx, dh, dw) to (dx, dy, dw, dh)."""
    return source.reshape(*source.shape[:-1], -1, 4)[..., [1, 0, 3, 2]].reshape(source.shape)


def _background_last(source: np.ndarray) -> np.ndarray:
    return np.roll(source, -1, axis=-1)


def _linear(source: np.ndarray) -> np.ndarray:
    """A convolution of its input's size, `[s, s, inputs, outputs]`, to a linear layer on the flat square."""
    return source.reshape(-1, source.shape[-1])


def _side_by_side(source: np.ndarray) -> np.ndarray:
    """The 2×2 transposed convolution `[2, 2, outputs, inputs]` to `[1, 1, inputs, 2 · 2 · outputs]`."""
    return source.transpose(3, 0, 1, 2).reshape(1, 1, source.shape[3], -1)
