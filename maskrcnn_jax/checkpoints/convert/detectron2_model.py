"""Detectron2: the model that a file belongs to, with Detectron2's conventions.

Supported are Faster and Mask R-CNN with FPN, from its model zoo or trained with it, and ImageNet backbones.

The architecture follows from names and shapes; the rest is taken from Detectron2's configurations:
- Batch norm in the backbone is frozen unless the pyramid has batch norm too.
- A ResNet gets MSRA's input, BGR without a standard deviation, and its stride in the 1×1 convolutions. So do, by their
  source `configs/common/models/mask_rcnn_fpn.py`, the models of the "new baselines" (LSJ). With group norm the stride
  is in the 3×3 convolutions, and so it is in a ResNeXt, whose input has a standard deviation.
- ResNet-18 and 34 and backbones written by `convert-torchvision-to-d2.py` get torchvision's input. A detector that
  was trained from such a backbone cannot be distinguished from one of MSRA's: give the input and stride by
  `load_pretrained(source, config=…)`.

Source: Detectron2 `config/defaults.py`, `configs/Base-RCNN-FPN.yaml`, `configs/Misc`, `configs/new_baselines`.
"""

import math
from dataclasses import replace

from maskrcnn_jax.checkpoints.convert.architecture import (
    Shapes,
    norm_of,
    required,
    resnet_depth,
    series,
    with_classes,
)
from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80
from maskrcnn_jax.checkpoints.convert.detectron2_names import (
    BOTTOM_UP,
    BOX_HEAD,
    MASK_HEAD,
    PREDICTOR,
    RPN_HEAD,
    current_name,
    is_backbone,
)
from maskrcnn_jax.config import (
    FPN,
    RPN,
    BoxHead,
    DetectConfig,
    InputConfig,
    MaskHead,
    ModelConfig,
    PoolConfig,
    ProposalConfig,
    ResNet,
)


def recognise(shapes: Shapes) -> ModelConfig | None:
    """The model that a file with these arrays holds, with Detectron2's conventions; None if it is not Detectron2's.

    A file of a backbone gives COCO's Mask R-CNN with that backbone.

    Args:
        shapes: of the file's arrays, by name.
    """
    found = {current_name(name): shape for name, shape in shapes.items()}
    backbone = _backbone(found, affine=any("_bn_" in name for name in shapes))
    if backbone is None:
        return None
    from_torchvision = backbone.depth < 50 or "stem.conv1.weight" in shapes
    if from_torchvision:
        backbone = replace(backbone, stride_in_1x1=False)
    model = ModelConfig(
        class_names=COCO_80,
        input=InputConfig(interpolation="antialiased", buckets=()) if from_torchvision else _caffe_input(backbone),
        backbone=backbone,
        rpn=RPN(proposals=ProposalConfig(top_k=1000, count=1000, train_top_k=2000, train_count=1000)),
        pool=PoolConfig(sampling_ratio=0, aligned=True, level_eps=0.0),
        detect=DetectConfig(score_threshold=0.05, nms_iou=0.5, count=100),
    )
    return model if is_backbone(shapes) else _detector(model, found)


def _backbone(found: Shapes, affine: bool) -> ResNet | None:
    """`affine`: Caffe2 has folded the batch norms' statistics into scale and bias."""
    stem = found.get(f"{BOTTOM_UP}.stem.conv1.weight")
    bottleneck = any(name.startswith(f"{BOTTOM_UP}.res") and ".conv3." in name for name in found)
    depth = resnet_depth((len(series(found, f"{BOTTOM_UP}.res{stage}.#.conv1.weight")) for stage in "2345"), bottleneck)
    if stem is None or depth is None:
        return None
    inner, seen = found[f"{BOTTOM_UP}.res2.0.conv2.weight"][:2]
    norm = norm_of(found, f"{BOTTOM_UP}.stem.conv1.norm")
    if affine or (norm == "batch" and norm_of(found, "backbone.fpn_lateral2.norm") != "batch"):
        norm = "frozen_batch"
    return ResNet(
        depth=depth,
        width=stem[0],
        norm=norm,
        inner_width=None if inner == stem[0] else inner,
        groups=inner // seen,
        stride_in_1x1=bottleneck and inner == seen and norm != "group",
    )


def _caffe_input(backbone: ResNet) -> InputConfig:
    std = (58.395, 57.12, 57.375) if backbone.groups > 1 else (1.0, 1.0, 1.0)
    return InputConfig(std=std, bgr=True, interpolation="antialiased", buckets=())


def _detector(model: ModelConfig, found: Shapes) -> ModelConfig | None:
    """The model with its pyramid and heads; None if they are not of Faster or Mask R-CNN."""
    layers = required(
        found,
        (
            "backbone.fpn_output2.weight",
            f"{RPN_HEAD}.objectness_logits.weight",
            f"{BOX_HEAD}.fc1.weight",
            f"{PREDICTOR}.cls_score.weight",
        ),
    )
    if layers is None:
        return None
    pyramid, objectness, fc1, score = layers
    return with_classes(
        model,
        score[0] - 1,
        fpn=FPN(channels=pyramid[0], norm=norm_of(found, "backbone.fpn_lateral2.norm")),
        rpn=replace(
            model.rpn,
            convs=len(series(found, f"{RPN_HEAD}.conv.conv#.weight")) or 1,
            channels=None if objectness[1] == pyramid[0] else objectness[1],
        ),
        box_head=BoxHead(
            pool_size=math.isqrt(fc1[1] // pyramid[0]),
            convs=len(series(found, f"{BOX_HEAD}.conv#.weight", first=1)),
            fcs=tuple(outputs for outputs, _ in series(found, f"{BOX_HEAD}.fc#.weight", first=1)),
            norm=norm_of(found, f"{BOX_HEAD}.conv1.norm"),
        ),
        mask_head=_mask_head(found),
    )


def _mask_head(found: Shapes) -> MaskHead | None:
    deconv = found.get(f"{MASK_HEAD}.deconv.weight")
    if deconv is None:
        return None
    layer = f"{MASK_HEAD}.mask_fcn"
    return MaskHead(
        convs=len(series(found, f"{layer}#.weight", first=1)), channels=deconv[1], norm=norm_of(found, f"{layer}1.norm")
    )
