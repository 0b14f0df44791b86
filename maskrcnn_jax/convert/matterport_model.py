"""Matterport's Mask R-CNN: what a file says of its model, and the conventions that go with it.

Read of the file alone are depth, widths and classes. Sizes of pictures, anchors and thresholds are those of its base
configuration and its "square" mode; who trained with others says so by `load_pretrained(source, config=…)`. The score
threshold is the default 0.7; the published figures on COCO were evaluated with 0.

Source: matterport/Mask_RCNN `mrcnn/config.py`, `mrcnn/model.py`, `mrcnn/utils.py`.
"""

import re
from collections.abc import Mapping

from maskrcnn_jax.config import (
    AnchorConfig,
    BackboneConfig,
    BoxHeadConfig,
    DetectConfig,
    FPNConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    PoolConfig,
    ProposalConfig,
    RPNConfig,
)
from maskrcnn_jax.convert.coco_names import COCO_80
from maskrcnn_jax.nn.resnet import BLOCKS

SIDE = 1024
"""Of the square that every picture is padded to, pixels."""
EPS = 1e-3
"""Of every batch norm: Keras's default."""
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""One over the standard deviations 0.1, 0.1, 0.2, 0.2, of both box coders."""


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> ModelConfig | None:
    """The model that a file with these arrays holds, with Matterport's conventions; None if it is not Matterport's.

    Args:
        shapes: of the file's arrays, by "layer/weight".
    """
    needed = ("conv1", "fpn_p2", "rpn_conv_shared", "mrcnn_class_conv1", "mrcnn_class_conv2", "mrcnn_class_logits")
    if any(f"{layer}/kernel" not in shapes for layer in needed):
        return None
    stem, fpn, rpn, fc1, fc2, logits = (shapes[f"{layer}/kernel"] for layer in needed)
    blocks = tuple(sum(bool(re.match(rf"res{stage}._branch2a/kernel", n)) for n in shapes) for stage in (2, 3, 4, 5))
    depths = [depth for depth in (50, 101, 152) if BLOCKS[depth] == blocks]
    if not depths:
        return None
    mask = shapes.get("mrcnn_mask_conv1/kernel")
    classes = logits[-1] - 1
    return ModelConfig(
        num_classes=classes,
        class_names=COCO_80 if classes == len(COCO_80) else (),
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
        backbone=BackboneConfig(
            depth=depths[0],
            width=stem[-1],
            norm="frozen_batch",
            norm_eps=EPS,
            stride_in_1x1=True,
            pool_after=True,
        ),
        fpn=FPNConfig(channels=fpn[-1]),
        rpn=RPNConfig(
            channels=rpn[-1],
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
        # A box's side is counted in shares of SIDE - 1 pixels there, but the 224 in shares of SIDE.
        pool=PoolConfig(method="crop_and_resize", canonical_size=224 * (SIDE - 1) / SIDE, level_eps=0.5),
        box_head=BoxHeadConfig(
            pool_size=fc1[0],
            fcs=(fc1[-1], fc2[-1]),
            fc_norm="frozen_batch",
            norm_eps=EPS,
            box_weights=BOX_WEIGHTS,
        ),
        mask_head=None
        if mask is None
        else MaskHeadConfig(channels=mask[-1], norm="frozen_batch", norm_eps=EPS, paste="rounded"),
        detect=DetectConfig(score_threshold=0.7, nms_iou=0.3, count=100, best_class_only=True, min_size=None),
        inclusive_boxes=True,
        background_outputs=True,
    )
