"""torchvision: the model that a state dict belongs to, with torchvision's conventions.

A state dict does not hold the sizes and ratios of the anchors, the mask head's input size, thresholds, counts and image
sizes: torchvision's defaults are assumed. If the model was trained with others, use
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
from collections.abc import Iterable

from maskrcnn_jax.checkpoints.convert.architecture import Shapes, norm_of, resnet_depth, series, with_classes
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

BODY = "backbone.body."
"""Where a detector keeps its ResNet."""
_OLDER = re.compile(r"rpn\.head\.conv\.(weight|bias)|roi_heads\.mask_head\.mask_fcn\d\..+")
"""In the older spelling, and not in the newer."""

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
    plain = is_plain(shapes)
    # Only training writes a counter, and files may come without.
    trained = "backbone.fpn.inner_blocks.0.1.weight" in shapes or f"{BODY}bn1.num_batches_tracked" in shapes
    batch: Norm = "frozen_batch" if plain or not trained else "batch"
    backbone = _backbone(shapes, "" if plain else BODY, batch)
    if backbone is None:
        return None
    model = dataclasses.replace(CONVENTIONS, backbone=backbone)
    return model if plain else _detector(model, shapes, batch)


def is_plain(names: Iterable[str]) -> bool:
    """Whether names are those of a plain ResNet."""
    found = list(names)
    return any(name.startswith("layer4.") for name in found) and not any(name.startswith(BODY) for name in found)


def is_older(names: Iterable[str]) -> bool:
    """Whether names of a detector have the older spelling."""
    return any(_OLDER.fullmatch(name) for name in names)


def unused(names: Iterable[str]) -> set[str]:
    """Names in a state dict without a counterpart here: training counters, ImageNet's classifier."""
    return {name for name in names if name.endswith(".num_batches_tracked") or name in ("fc.weight", "fc.bias")}


def _backbone(shapes: Shapes, prefix: str, batch: Norm) -> ResNet | None:
    bottleneck = any(name.startswith(f"{prefix}layer") and ".conv3." in name for name in shapes)
    blocks = (len(series(shapes, f"{prefix}layer{stage}.#.conv1.weight")) for stage in (1, 2, 3, 4))
    depth = resnet_depth(blocks, bottleneck)
    if depth is None or f"{prefix}conv1.weight" not in shapes:
        return None
    width, inner = shapes[f"{prefix}conv1.weight"][0], shapes[f"{prefix}layer1.0.conv1.weight"][0]
    return ResNet(
        depth=depth,
        width=width,
        norm=(norm := norm_of(shapes, f"{prefix}bn1", batch)),
        norm_eps=0.0 if is_older(shapes) and norm == "frozen_batch" else 1e-5,
        inner_width=None if inner == width else inner,
        groups=inner // shapes[f"{prefix}layer1.0.conv2.weight"][1],
    )


def _detector(model: ModelConfig, shapes: Shapes, batch: Norm) -> ModelConfig | None:
    """The model with its pyramid and heads; None if it has no box head."""
    predictor = shapes.get("roi_heads.box_predictor.cls_score.weight")
    if predictor is None:
        return None
    fpn = _fpn(shapes, batch)
    return with_classes(
        model,
        predictor[0] - 1,
        (COCO_80, COCO_90),
        fpn=fpn,
        rpn=_rpn(shapes, fpn.channels),
        box_head=_box_head(shapes, fpn.channels, batch),
        mask_head=_mask_head(shapes, batch),
    )


def _fpn(shapes: Shapes, batch: Norm) -> FPN:
    block = "backbone.fpn.inner_blocks.0"
    outputs = [shapes[name][0] for name in (f"{block}.0.weight", f"{block}.weight") if name in shapes]
    return FPN(channels=outputs[0] if outputs else 256, norm=norm_of(shapes, f"{block}.1", batch))


def _rpn(shapes: Shapes, channels: int) -> RPN:
    convs = 1 if is_older(shapes) else len(series(shapes, "rpn.head.conv.#.0.weight"))
    logits = shapes.get("rpn.head.cls_logits.weight", (0, channels))
    return dataclasses.replace(CONVENTIONS.rpn, convs=convs, channels=None if logits[1] == channels else logits[1])


def _box_head(shapes: Shapes, channels: int, batch: Norm) -> BoxHead:
    head = "roi_heads.box_head"
    convs = len(series(shapes, f"{head}.#.0.weight"))
    # A linear layer stands before a ReLU, the first of them after the convolutions and a flattening.
    numbered = [f"{head}.{index}.weight" for index in range(convs + 1, convs + 1 + 2 * len(shapes), 2)]
    layers = [shapes[name] for name in (f"{head}.fc6.weight", f"{head}.fc7.weight", *numbered) if name in shapes]
    if not layers:
        return BoxHead()
    return BoxHead(
        pool_size=math.isqrt(layers[0][1] // channels),
        convs=convs,
        fcs=tuple(outputs for outputs, _ in layers),
        norm=norm_of(shapes, f"{head}.0.1", batch),
    )


def _mask_head(shapes: Shapes, batch: Norm) -> MaskHead | None:
    head, predictor = "roi_heads.mask_head", "roi_heads.mask_predictor.conv5_mask.weight"
    if predictor not in shapes:
        return None
    return MaskHead(
        convs=len(series(shapes, f"{head}.#.0.weight") or series(shapes, f"{head}.mask_fcn#.weight", first=1)),
        channels=shapes[predictor][1],
        norm=norm_of(shapes, f"{head}.0.1", batch),
        paste="outward",
    )
