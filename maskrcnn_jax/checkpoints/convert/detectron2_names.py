"""Detectron2's parameter names: in detectors, in files of a backbone alone, and in those converted from Caffe2.

Source: Detectron2 `checkpoint/c2_model_loading.py`.
"""

import re
from collections.abc import Iterable

BOTTOM_UP = "backbone.bottom_up"
"""The prefix of a detector's ResNet, which names in the file of a backbone alone do not have."""
RPN_HEAD, BOX_HEAD, MASK_HEAD = "proposal_generator.rpn_head", "roi_heads.box_head", "roi_heads.mask_head"
PREDICTOR = "roi_heads.box_predictor"

PARTS = (
    *("backbone.", "proposal_generator.", "roi_heads.", "pixel_mean", "pixel_std", "anchor_generator."),
    *("stem.", "res", "conv1_", "fc1000_", "pred_", "linear."),
    # Detectron's own detectors, whose backbones alone would be useless.
    *("fpn_", "conv_rpn", "rpn_", "cls_score", "bbox_pred", "fc6_", "fc7_"),
)
"""Prefixes of a network's arrays; others belong to the training program."""

_UNUSED = re.compile(
    r"pixel_(mean|std)|(proposal_generator\.)?anchor_generator\..+"  # of old detectors
    r"|.*\.num_batches_tracked"  # of synchronised batch norm
    r"|((stem\.)?(fc|linear)\.(weight|bias)|(fc1000|pred)_[wb])"  # the classes of ImageNet
    r"|(conv1|res\d_\d+_branch(1|2[abc]))_b"  # biases before a norm: Detectron2 drops them too
)
_CAFFE2 = re.compile(r"(?:res_)?(?P<layer>conv1|res\d_\d+_branch(?:1|2[abc]))_(?P<kind>w|(?:bn|gn)_\w+)")
_LAYERS = {"branch1": "shortcut", "branch2a": "conv1", "branch2b": "conv2", "branch2c": "conv3"}
_KINDS = {
    "w": "weight",
    **dict.fromkeys(("s", "gamma"), "norm.weight"),
    **dict.fromkeys(("b", "beta"), "norm.bias"),
    **dict.fromkeys(("rm", "running_mean"), "norm.running_mean"),
    # Called an inverse, it is the variance itself.
    **dict.fromkeys(("riv", "running_var"), "norm.running_var"),
}


def current_name(name: str) -> str:
    """The name in a current detector's file: `backbone.bottom_up.res2.0.conv1.weight` for `res2_0_branch2a_w`.

    Names outside the backbone stay as they are.
    """
    name = _without_caffe2(name)
    return f"{BOTTOM_UP}.{name}" if re.match(r"(stem|res\d)\.", name) else name


def _without_caffe2(name: str) -> str:
    match = _CAFFE2.fullmatch(name)
    kind = match and _KINDS.get(re.sub(r"^[bg]n_", "", match["kind"]))
    if match is None or kind is None:
        return name
    if match["layer"] == "conv1":
        return f"stem.conv1.{kind}"
    stage, block, branch = match["layer"].split("_")
    return f"{stage}.{block}.{_LAYERS[branch]}.{kind}"


def unused(names: Iterable[str]) -> set[str]:
    """Names in a file without a counterpart here: buffers and counters, ImageNet's classifier."""
    return {name for name in names if _UNUSED.fullmatch(name)}


def is_backbone(names: Iterable[str]) -> bool:
    """Whether a file with these names holds a backbone alone."""
    used = set(names) - unused(names)
    return bool(used) and all(current_name(name).startswith(BOTTOM_UP) for name in used)
