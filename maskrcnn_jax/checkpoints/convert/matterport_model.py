"""Matterport's Mask R-CNN: the model that a file belongs to, with Matterport's conventions.

The file determines depth, widths and classes. Image sizes, anchors and thresholds are those of its base configuration
and its "square" mode; if the model was trained with others, use `load_pretrained(source, config=…)`. The score
threshold is the default 0.7; the published results on COCO were evaluated with 0.

Source: matterport/Mask_RCNN `mrcnn/config.py`, `mrcnn/model.py`, `mrcnn/utils.py`.
"""

import re
from dataclasses import replace

from maskrcnn_jax.checkpoints.convert.architecture import Shapes, required, resnet_depth, with_classes
from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80
from maskrcnn_jax.checkpoints.convert.parts import fpn, resnet
from maskrcnn_jax.config import (
    RPN,
    AnchorConfig,
    BoxHead,
    DetectConfig,
    InputConfig,
    MaskHead,
    ModelConfig,
    PoolConfig,
    ProposalConfig,
    ResNet,
)

SIDE = 1024
"""Of the square that every image is padded to, pixels."""
EPS = 1e-3
"""Of every batch norm: Keras's default."""
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""One over the standard deviations 0.1, 0.1, 0.2, 0.2, of both box coders."""


CONVENTIONS = ModelConfig(
    num_classes=len(COCO_80),
    class_names=COCO_80,
    input=InputConfig(
        mean=(123.7, 116.8, 103.9),
        std=(1.0, 1.0, 1.0),
        shortest_edge=800,
        longest_edge=SIDE,
        enlarge_only=True,
        interpolation="truncated",
        centered=True,
        black_padding=True,
        buckets=((SIDE, SIDE),),
    ),
    backbone=ResNet(depth=101, norm="frozen_batch", norm_eps=EPS, stride_in_1x1=True, pool_after=True),
    rpn=RPN(
        channels=512,
        # Its ratios 0.5, 1, 2 are width over height.
        anchors=AnchorConfig(aspect_ratios=(2.0, 1.0, 0.5)),
        proposals=ProposalConfig(
            top_k=6000,
            count=1000,
            train_top_k=6000,
            train_count=2000,
            joint=True,
            min_size=None,
            clip_to_canvas=True,
            max_log_scale=None,
            box_weights=BOX_WEIGHTS,
        ),
    ),
    # Matterport normalises boxes by SIDE - 1 pixels, but the 224 by SIDE.
    pool=PoolConfig(method="crop_and_resize", canonical_size=224 * (SIDE - 1) / SIDE, level_eps=0.5),
    box_head=BoxHead(fc_norm="frozen_batch", norm_eps=EPS, box_weights=BOX_WEIGHTS),
    mask_head=MaskHead(norm="frozen_batch", norm_eps=EPS, paste="rounded"),
    detect=DetectConfig(score_threshold=0.7, nms_iou=0.3, count=100, best_class_only=True, min_size=None),
    inclusive_boxes=True,
    background_outputs=True,
)
"""Matterport's Mask R-CNN for COCO."""


def recognise(shapes: Shapes) -> ModelConfig | None:
    """The model that a file with these arrays holds, with Matterport's conventions; None if it is not Matterport's.

    Args:
        shapes: of the file's arrays, by "layer/weight".
    """
    layers = ("conv1", "fpn_p2", "rpn_conv_shared", "mrcnn_class_conv1", "mrcnn_class_conv2", "mrcnn_class_logits")
    kernels = required(shapes, (f"{layer}/kernel" for layer in layers))
    blocks = (sum(bool(re.match(rf"res{stage}._branch2a/kernel", n)) for n in shapes) for stage in (2, 3, 4, 5))
    depth = resnet_depth(blocks, bottleneck=True)
    if kernels is None or depth is None:
        return None
    stem, pyramid, rpn, fc1, fc2, logits = kernels
    base, mask_head = CONVENTIONS, None
    if base.mask_head and "mrcnn_mask_conv1/kernel" in shapes:
        mask_head = replace(base.mask_head, channels=shapes["mrcnn_mask_conv1/kernel"][-1])
    return with_classes(
        base,
        logits[-1] - 1,
        backbone=replace(resnet(base), depth=depth, width=stem[-1]),
        fpn=replace(fpn(base), channels=pyramid[-1]),
        rpn=replace(base.rpn, channels=rpn[-1]),
        box_head=replace(base.box_head, pool_size=fc1[0], fcs=(fc1[-1], fc2[-1])),
        mask_head=mask_head,
    )
