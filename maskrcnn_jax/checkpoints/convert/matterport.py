"""Matterport's Mask R-CNN: the layers and layouts of its arrays beside ours.

They differ in these ways:
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


def rules(ours: Iterable[str], config: ModelConfig, theirs: Collection[str]) -> dict[str, Rule]:
    """How our arrays are read from a file.

    Args:
        ours: names of our arrays.
        config: of the model that has them; nothing here depends on it.
        theirs: names in the file; there is one spelling only, so nothing depends on them either.

    Returns:
        One rule for each of our arrays that Matterport's network has, too.
    """
    found = {name: _rule(name) for name in ours}
    return {name: rule for name, rule in found.items() if rule is not None}


def unused(theirs: Iterable[str]) -> set[str]:
    """Names in a file that no model of ours has a place for: anchors that some forks save as if they were weights."""
    return {name for name in theirs if name.startswith("anchors/")}


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
    """The layers of Matterport's that our array belongs to, and how its kernel and bias become ours."""
    match name.split("."):
        case ["backbone", "stem", _, _]:
            return "conv1", "bn_conv1", _same
        case ["backbone", stage, block, "convs", index, _, _]:
            place = f"{_stage(stage, block)}_branch2{'abc'[int(index)]}"
            return f"res{place}", f"bn{place}", _same
        case ["backbone", stage, block, "shortcut", _, _]:
            place = f"{_stage(stage, block)}_branch1"
            return f"res{place}", f"bn{place}", _same
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
            return "mrcnn_bbox_fc", None, lambda theirs: _width_first(np.roll(theirs, -4, axis=-1))
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
    """The third block of our `layer2` is `3c`."""
    return f"{int(stage.removeprefix('layer')) + 1}{chr(ord('a') + int(block))}"


def _same(theirs: np.ndarray) -> np.ndarray:
    return theirs


def _objectness(theirs: np.ndarray) -> np.ndarray:
    """(background, object) per anchor to the logit of a sigmoid."""
    pairs = theirs.reshape(*theirs.shape[:-1], -1, 2)
    return pairs[..., 1] - pairs[..., 0]


def _width_first(theirs: np.ndarray) -> np.ndarray:
    """(dy, dx, dh, dw) to (dx, dy, dw, dh)."""
    return theirs.reshape(*theirs.shape[:-1], -1, 4)[..., [1, 0, 3, 2]].reshape(theirs.shape)


def _background_last(theirs: np.ndarray) -> np.ndarray:
    return np.roll(theirs, -1, axis=-1)


def _linear(theirs: np.ndarray) -> np.ndarray:
    """A convolution as wide as its input, `[s, s, inputs, outputs]`, to a linear layer on the flat square."""
    return theirs.reshape(-1, theirs.shape[-1])


def _side_by_side(theirs: np.ndarray) -> np.ndarray:
    """The 2×2 transposed convolution `[2, 2, outputs, inputs]` to `[1, 1, inputs, 2 · 2 · outputs]`."""
    return theirs.transpose(3, 0, 1, 2).reshape(1, 1, theirs.shape[3], -1)
