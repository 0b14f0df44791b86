"""Weights that lack a few arrays are recognised, and what they lack is listed."""

import re

import pytest
from detectron2_checkpoint import SMALL, detector
from matterport_checkpoint import BLOCKS, layers, shapes_by_name
from small import abstract
from test_naming import named, recognised, torchvision

from maskrcnn_jax.checkpoints.convert.rules import ConversionError, convert
from maskrcnn_jax.checkpoints.convert.systems import Recognised
from maskrcnn_jax.nn.params import flatten

Shapes = dict[str, tuple[int, ...]]

WHOLE: dict[str, Shapes] = {
    "torchvision v1": torchvision(),
    "torchvision v2": torchvision("mask_rcnn_v2"),
    "ResNet-18": torchvision("resnet18"),
    "Detectron2": detector(**SMALL),
    "Matterport": shapes_by_name(layers(BLOCKS, classes=4, width=8, pyramid=16, rpn=24, fc=32, mask=12)),
}


def listed(found: Recognised) -> list[str]:
    """What the conversion lists as missing."""
    _, params, statistics = flatten(abstract(found.config))
    shapes = {name: array.shape for name, array in (params | statistics).items()}
    rules = found.system.rules(shapes, found.config, found.arrays.keys())
    with pytest.raises(ConversionError, match="these weights are not complete") as refused:
        wanted = {name: shape for name, shape in shapes.items() if name in rules}
        convert(found.arrays, rules, wanted, found.system.unused(found.arrays))
    return sorted(set(re.findall(r"missing: ([^,]+),", str(refused.value))))


LOST = {
    "torchvision v1": [
        ["backbone.body.conv1.weight"],
        ["backbone.body.layer4.0.conv1.weight", "backbone.body.layer1.0.conv2.weight"],
        ["backbone.body.layer1.0.conv3.weight"],
        ["roi_heads.box_predictor.cls_score.weight"],
        ["roi_heads.box_predictor.cls_score.weight", "roi_heads.box_predictor.cls_score.bias"],
        ["roi_heads.mask_predictor.conv5_mask.weight"],
    ],
    "torchvision v2": [["backbone.body.layer3.5.conv1.weight"], ["roi_heads.box_predictor.cls_score.weight"]],
    "ResNet-18": [["conv1.weight"], ["layer4.0.conv1.weight"], ["layer2.1.conv1.weight", "layer2.1.bn1.weight"]],
    "Detectron2": [
        ["backbone.bottom_up.stem.conv1.weight"],
        ["backbone.bottom_up.res2.0.conv2.weight"],
        ["backbone.bottom_up.res4.5.conv1.weight", "backbone.bottom_up.res4.5.conv2.weight"],
        ["roi_heads.box_predictor.cls_score.weight"],
        ["roi_heads.box_head.fc1.weight", "proposal_generator.rpn_head.objectness_logits.weight"],
        ["roi_heads.mask_head.deconv.weight", "backbone.fpn_output2.weight"],
    ],
    "Matterport": [
        ["conv1/kernel"],
        ["res4f_branch2a/kernel", "res2a_branch2a/kernel"],
        ["mrcnn_class_logits/kernel", "mrcnn_class_conv1/kernel"],
        ["rpn_conv_shared/kernel", "fpn_p2/kernel", "mrcnn_class_conv2/kernel"],
    ],
}


@pytest.mark.parametrize(("kind", "lost"), [(kind, lost) for kind, cases in LOST.items() for lost in cases])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_is_missing_is_listed(kind: str, lost: list[str], prefix: str):
    if kind == "Matterport" and prefix:
        return
    whole = recognised(WHOLE[kind])
    cut = recognised({prefix + name: shape for name, shape in WHOLE[kind].items() if name not in lost})
    assert (named(cut), cut.config) == (named(whole), whole.config)
    assert listed(cut) == sorted(lost)


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"layer1.0.conv1.weight": (64, 64, 3, 3), "layer2.0.conv1.weight": (64, 64, 3, 3)},
        {f"layer{i}.0.conv1.weight": (16, 16, 3, 3) for i in (1, 2, 3)},
        {"backbone.body.conv1.weight": (64, 3, 7, 7), "roi_heads.box_predictor.cls_score.weight": (91, 1024)},
        {"rpn.head.cls_logits.weight": (3, 256, 1, 1)},
        {"mrcnn_mask/kernel": (1, 1, 256, 81), "res2a_branch2a/kernel": (1, 1, 64, 64)},
        {n: s for n, s in torchvision().items() if "layer3" not in n},
        {f"layer{i}.40.conv1.weight": (16, 16, 3, 3) for i in (1, 2, 3, 4)},
    ],
    ids=["nothing", "two stages", "three stages", "no blocks", "heads alone", "a stage", "a stage less", "too deep"],
)
def test_others_are_not_recognised(shapes: Shapes):
    with pytest.raises(ConversionError, match="unrecognised checkpoint format"):
        recognised(shapes)


@pytest.mark.parametrize("block", ["1000000000", "9" * 5000])
def test_a_made_up_number_of_blocks_takes_no_time(block: str):
    with pytest.raises(ConversionError, match="unrecognised checkpoint format"):
        recognised({f"layer{i}.{block}.conv3.weight": (1,) for i in (1, 2, 3, 4)})
