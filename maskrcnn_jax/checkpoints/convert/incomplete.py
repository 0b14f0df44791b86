"""Incomplete weights: adds the shapes of missing arrays by which a system is recognised.

The arrays themselves stay missing and are listed as such when the weights are converted.
"""

import re

from maskrcnn_jax.checkpoints.convert import detectron2_names as d2
from maskrcnn_jax.checkpoints.convert.architecture import Shapes, smallest_resnet
from maskrcnn_jax.checkpoints.convert.torchvision_model import BODY


def torchvision(shapes: Shapes) -> Shapes | None:
    """The shapes of a torchvision detector or plain ResNet, completed; None if these are of neither."""
    is_detector = any(name.startswith(("roi_heads.box_", "rpn.head.")) for name in shapes)
    if any(name.startswith(BODY) for name in shapes) != is_detector:
        return None
    prefix = BODY if is_detector else ""
    blocks = re.compile(rf"{re.escape(prefix)}layer([1-4])\.(\d{{1,2}})\.(?:conv|bn|downsample)")
    found = _with_blocks(shapes, blocks, f"{prefix}layer{{}}.{{}}.conv{{}}.weight", first=1)
    if found is None:
        return None
    _put(found, f"{prefix}conv1.weight", (*_of(found, f"{prefix}bn1.weight", (64,))[:1], 3, 7, 7))
    if is_detector:
        predictor = "roi_heads.box_predictor"
        deltas = _of(found, f"{predictor}.bbox_pred.weight", _of(found, f"{predictor}.bbox_pred.bias", (364,)))
        classes = _of(found, f"{predictor}.cls_score.bias", (deltas[0] // 4,))
        _put(found, f"{predictor}.cls_score.weight", (classes[0], 1024))
        if any(name.startswith("roi_heads.mask_") for name in shapes):
            mask = "roi_heads.mask_predictor.conv5_mask"
            _put(found, f"{mask}.weight", (256, *_of(found, f"{mask}.bias", (256,)), 2, 2))
    return found


def detectron2(shapes: Shapes) -> Shapes | None:
    """The shapes of a Detectron2 detector or backbone, completed; None if these are of neither.

    Of detectors with other heads, such as RetinaNet, only the backbone is kept.
    """
    bottom_up = f"{d2.BOTTOM_UP}."
    has_heads = any(name.startswith((d2.RPN_HEAD, d2.BOX_HEAD, d2.PREDICTOR)) for name in shapes)
    if not has_heads:
        shapes = {name: shape for name, shape in shapes.items() if name.startswith(bottom_up)} or shapes
    prefix = bottom_up if any(name.startswith(bottom_up) for name in shapes) else ""
    blocks = re.compile(rf"{re.escape(prefix)}res([2-5])\.(\d{{1,2}})\.(?:conv|shortcut)")
    found = _with_blocks(shapes, blocks, f"{prefix}res{{}}.{{}}.conv{{}}.weight", first=2)
    if found is None or (has_heads and not prefix):
        return None
    stem = f"{prefix}stem.conv1"
    _put(found, f"{stem}.weight", (*_of(found, f"{stem}.norm.weight", (64,))[:1], 3, 7, 7))
    if has_heads:
        channels = _of(found, "backbone.fpn_lateral2.weight", (256,))[0]
        fc1 = _of(found, f"{d2.BOX_HEAD}.fc1.bias", (1024,))[0]
        deltas = _of(found, f"{d2.PREDICTOR}.bbox_pred.weight", _of(found, f"{d2.PREDICTOR}.bbox_pred.bias", (320,)))
        score = _of(found, f"{d2.PREDICTOR}.cls_score.bias", (deltas[0] // 4 + 1,))[0]
        _put(found, "backbone.fpn_output2.weight", (channels, channels, 3, 3))
        _put(found, f"{d2.RPN_HEAD}.objectness_logits.weight", (3, channels, 1, 1))
        _put(found, f"{d2.BOX_HEAD}.fc1.weight", (fc1, channels * 49))
        _put(found, f"{d2.PREDICTOR}.cls_score.weight", (score, fc1))
        if any(name.startswith(d2.MASK_HEAD) for name in shapes):
            _put(found, f"{d2.MASK_HEAD}.deconv.weight", (channels, channels, 2, 2))
    return found


def matterport(shapes: Shapes) -> Shapes | None:
    """The shapes of a Matterport model, completed; None if these are of another."""
    blocks = re.compile(r"(?:res|bn)([2-5])([a-z])_branch")
    if not any(name.startswith(("mrcnn_", "rpn_")) for name in shapes):
        return None
    letters = {name: _block_number(name, blocks) for name in shapes}
    counts = [max((int(n[1]) + 1 for n in letters.values() if n and n[0] == stage), default=0) for stage in "2345"]
    known = smallest_resnet(counts, bottleneck=True)
    if known is None:
        return None
    found = dict(shapes)
    for stage, count in enumerate(known, 2):
        for block in range(count):
            _put(found, f"res{stage}{chr(ord('a') + block)}_branch2a/kernel", (1, 1, 64, 64))
    channels = _of(found, "fpn_c2p2/bias", (256,))[0]
    classes = _of(found, "mrcnn_class_logits/bias", (_of(found, "mrcnn_bbox_fc/bias", (324,))[0] // 4,))[0]
    fc1, fc2 = (_of(found, f"mrcnn_class_conv{i}/bias", (1024,))[0] for i in (1, 2))
    _put(found, "conv1/kernel", (7, 7, 3, _of(found, "conv1/bias", (64,))[0]))
    _put(found, "fpn_p2/kernel", (3, 3, channels, channels))
    _put(found, "rpn_conv_shared/kernel", (3, 3, channels, _of(found, "rpn_conv_shared/bias", (512,))[0]))
    _put(found, "mrcnn_class_conv1/kernel", (7, 7, channels, fc1))
    _put(found, "mrcnn_class_conv2/kernel", (1, 1, fc1, fc2))
    _put(found, "mrcnn_class_logits/kernel", (fc2, classes))
    return found


def _block_number(name: str, blocks: re.Pattern[str]) -> tuple[str, int] | None:
    match = blocks.match(name)
    return (match[1], ord(match[2]) - ord("a")) if match else None


def _with_blocks(shapes: Shapes, blocks: re.Pattern[str], layer: str, first: int) -> dict[str, tuple[int, ...]] | None:
    """The shapes with a first convolution in every block of the ResNet; None unless each stage has blocks.

    Args:
        shapes: of the arrays, by name.
        blocks: matches the names of blocks, with stage and number.
        layer: the name of a convolution, for stage, block and convolution.
        first: the number of the first stage.
    """
    found = dict(shapes)
    seen = [match for match in map(blocks.match, shapes) if match]
    counts = tuple(max((int(m[2]) + 1 for m in seen if m[1] == str(first + i)), default=0) for i in range(4))
    deep = any(".conv3." in match.string for match in seen)
    known = smallest_resnet(counts, deep)
    if known is None:
        return None
    for stage, count in enumerate(known, first):
        for block in range(count):
            for conv in (1, 2, 3) if deep and (stage, block) == (first, 0) else (1, 2):
                like = (found.get(layer.format(stage, other, conv)) for other in range(count))
                shape = next((shape for shape in like if shape is not None), None)
                _put(found, layer.format(stage, block, conv), shape or (64, 64, 3, 3))
    return found


def _of(shapes: Shapes, name: str, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an array if it has one dimension or more."""
    return shapes.get(name) or otherwise


def _put(found: dict[str, tuple[int, ...]], name: str, shape: tuple[int, ...]) -> None:
    found.setdefault(name, shape)
