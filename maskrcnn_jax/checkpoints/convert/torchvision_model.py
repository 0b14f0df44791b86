"""torchvision: what a state dict says of its model, and the conventions that go with it.

What no state dict says is taken to be what torchvision's own functions have: sizes and ratios of the anchors, the side
of the mask head's input, thresholds, counts and the sizes of images. Who trained with others says so by
`load_pretrained(source, config=…)`.

Some things in torchvision have no counterpart here:
- Its RoIAlign takes the scale of each level from the height, before padding, of the tallest of the first images that
  the model sees, and keeps it. It is the true scale unless that height is below 68 pixels.
- Its `min_size`s keep boxes of exactly that side; here they must be larger.
- A `rpn_score_thresh` above its default 0 drops proposals.

Source: torchvision `models/detection/{faster_rcnn,mask_rcnn,anchor_utils,rpn,roi_heads}.py`, `ops/poolers.py`.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80, COCO_90
from maskrcnn_jax.config import (
    FPN,
    RPN,
    AnchorConfig,
    BoxHead,
    DetectConfig,
    InputConfig,
    MaskHead,
    ModelConfig,
    Norm,
    PoolConfig,
    ProposalConfig,
    ResNet,
)
from maskrcnn_jax.nn.backbones.resnet import BLOCKS

Shapes = Mapping[str, tuple[int, ...]]

BODY = "backbone.body."
"""Where a detector keeps its ResNet."""
_OLDER = re.compile(r"rpn\.head\.conv\.(weight|bias)|roi_heads\.mask_head\.mask_fcn\d\..+")
"""In the older spelling, and not in the newer."""

COCO_NAMES = {len(names): names for names in (COCO_80, COCO_90)}

CONVENTIONS = ModelConfig(
    num_classes=len(COCO_90),
    class_names=COCO_90,
    input=InputConfig(floor_size=True, interpolation="exact", buckets=()),
    rpn=RPN(
        anchors=AnchorConfig(rounded=True, floor_stride=True),
        proposals=ProposalConfig(top_k=1000, count=1000, train_top_k=2000, train_count=2000, min_size=1e-3),
    ),
    pool=PoolConfig(sampling_ratio=2, aligned=False, level_eps=1e-6),
    mask_head=MaskHead(paste="outward"),
    detect=DetectConfig(score_threshold=0.05, nms_iou=0.5, count=100, min_size=1e-2),
    background_outputs=True,
)
"""torchvision's Mask R-CNN for COCO (v1)."""


def recognise(shapes: Shapes) -> ModelConfig | None:
    """The model that a state dict belongs to, with torchvision's conventions; None if it is not torchvision's.

    A plain ResNet gives `CONVENTIONS` with that backbone and its batch norm frozen, as torchvision itself starts.
    Frozen batch norm in the older spelling is that of the published v1 files, which were trained with an eps of 0. A
    batch norm without its training counters counts as frozen unless the pyramid has norms, too (v2).

    Args:
        shapes: of the arrays, by name.
    """
    if is_plain(shapes):
        backbone = _backbone(shapes, "", frozen=True)
        return None if backbone is None else dataclasses.replace(CONVENTIONS, backbone=backbone)
    predictor = "roi_heads.box_predictor.cls_score.weight"
    if predictor not in shapes:
        return None
    # A counter is written by training alone, and files may come without.
    frozen = "backbone.fpn.inner_blocks.0.1.weight" not in shapes and f"{BODY}bn1.num_batches_tracked" not in shapes
    backbone = _backbone(shapes, BODY, frozen)
    if backbone is None:
        return None
    classes, fpn = shapes[predictor][0] - 1, _fpn(shapes, frozen)
    return dataclasses.replace(
        CONVENTIONS,
        num_classes=classes,
        class_names=COCO_NAMES.get(classes, ()),
        backbone=backbone,
        fpn=fpn,
        rpn=_rpn(shapes, fpn.channels),
        box_head=_box_head(shapes, fpn.channels, frozen),
        mask_head=_mask_head(shapes, frozen),
    )


def is_plain(theirs: Iterable[str]) -> bool:
    """Whether names are those of a plain ResNet."""
    names = list(theirs)
    return any(name.startswith("layer4.") for name in names) and not any(name.startswith(BODY) for name in names)


def is_older(theirs: Iterable[str]) -> bool:
    """Whether names of a detector have the older spelling."""
    return any(_OLDER.fullmatch(name) for name in theirs)


def unused(theirs: Iterable[str]) -> set[str]:
    """Names in a state dict that a model of ours has no place for: counters of training, ImageNet's classes."""
    return {name for name in theirs if name.endswith(".num_batches_tracked") or name in ("fc.weight", "fc.bias")}


def _count(shapes: Shapes, pattern: str, first: int = 0) -> int:
    """How many of the names `pattern` are there, with `first`, `first` + 1, … for its #."""
    count = 0
    while pattern.replace("#", str(first + count)) in shapes:
        count += 1
    return count


def _norm(shapes: Shapes, module: str, frozen: bool) -> Norm:
    if f"{module}.weight" not in shapes:
        return "none"
    if f"{module}.running_mean" not in shapes:
        return "group"
    return "frozen_batch" if frozen else "batch"


def _backbone(shapes: Shapes, prefix: str, frozen: bool) -> ResNet | None:
    bottleneck = any(name.startswith(f"{prefix}layer") and ".conv3." in name for name in shapes)
    blocks = tuple(_count(shapes, f"{prefix}layer{stage}.#.conv1.weight") for stage in (1, 2, 3, 4))
    depths = [depth for depth, counts in BLOCKS.items() if counts == blocks and (depth >= 50) == bottleneck]
    if not depths or f"{prefix}conv1.weight" not in shapes:
        return None
    width, inner = shapes[f"{prefix}conv1.weight"][0], shapes[f"{prefix}layer1.0.conv1.weight"][0]
    return ResNet(
        depth=depths[0],
        width=width,
        norm=(norm := _norm(shapes, f"{prefix}bn1", frozen)),
        norm_eps=0.0 if is_older(shapes) and norm == "frozen_batch" else 1e-5,
        inner_width=None if inner == width else inner,
        groups=inner // shapes[f"{prefix}layer1.0.conv2.weight"][1],
    )


def _fpn(shapes: Shapes, frozen: bool) -> FPN:
    block = "backbone.fpn.inner_blocks.0"
    outputs = [shapes[name][0] for name in (f"{block}.0.weight", f"{block}.weight") if name in shapes]
    return FPN(channels=outputs[0] if outputs else 256, norm=_norm(shapes, f"{block}.1", frozen))


def _rpn(shapes: Shapes, channels: int) -> RPN:
    convs = 1 if is_older(shapes) else _count(shapes, "rpn.head.conv.#.0.weight")
    logits = shapes.get("rpn.head.cls_logits.weight", (0, channels))
    return dataclasses.replace(CONVENTIONS.rpn, convs=convs, channels=None if logits[1] == channels else logits[1])


def _box_head(shapes: Shapes, channels: int, frozen: bool) -> BoxHead:
    head = "roi_heads.box_head"
    convs = _count(shapes, f"{head}.#.0.weight")
    # A linear layer stands before a ReLU, the first of them after the convolutions and a flattening.
    numbered = [f"{head}.{index}.weight" for index in range(convs + 1, convs + 1 + 2 * len(shapes), 2)]
    layers = [shapes[name] for name in (f"{head}.fc6.weight", f"{head}.fc7.weight", *numbered) if name in shapes]
    if not layers:
        return BoxHead()
    return BoxHead(
        pool_size=math.isqrt(layers[0][1] // channels),
        convs=convs,
        fcs=tuple(outputs for outputs, _ in layers),
        norm=_norm(shapes, f"{head}.0.1", frozen),
    )


def _mask_head(shapes: Shapes, frozen: bool) -> MaskHead | None:
    head, predictor = "roi_heads.mask_head", "roi_heads.mask_predictor.conv5_mask.weight"
    if predictor not in shapes:
        return None
    return MaskHead(
        convs=_count(shapes, f"{head}.#.0.weight") or _count(shapes, f"{head}.mask_fcn#.weight", first=1),
        channels=shapes[predictor][1],
        norm=_norm(shapes, f"{head}.0.1", frozen),
        paste="outward",
    )
