"""torchvision's state dicts, by names and shapes that it wrote itself (`tests/parity/torchvision_names.py`)."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import abstract, change

from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80, COCO_90
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, convert
from maskrcnn_jax.checkpoints.convert.torchvision import entry, rules
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS, recognise, unused
from maskrcnn_jax.config import FPN, BoxHead, MaskHead, ModelConfig, ResNet
from maskrcnn_jax.nn.params import flatten

Shapes = dict[str, tuple[int, ...]]

V2_HEADS = {
    "fpn": FPN(norm="batch"),
    "rpn": replace(CONVENTIONS.rpn, convs=2),
    "box_head": BoxHead(convs=4, fcs=(1024,), norm="batch"),
    "mask_head": MaskHead(norm="batch", paste="outward"),
}


def theirs(model: str) -> Shapes:
    text = (Path(__file__).parent / "data" / f"torchvision_{model}.json").read_text()
    return {name: tuple(shape) for name, shape in json.loads(text).items()}


def ours(config: ModelConfig) -> Shapes:
    _, params, statistics = flatten(abstract(config))
    return {name: array.shape for name, array in (params | statistics).items()}


def older(shapes: Shapes) -> Shapes:
    """The spelling of the published v1 files, written down from the renaming that torchvision does when it loads."""
    renamed = {}
    for name, shape in shapes.items():
        name = re.sub(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.0\.", r"\1.", name)
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for i in range(4):
            name = name.replace(f"mask_head.{i}.0.", f"mask_head.mask_fcn{i + 1}.")
        renamed[name] = shape
    return renamed


def without_counters(shapes: Shapes) -> Shapes:
    return {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def resized(shapes: Shapes, classes: int) -> Shapes:
    """With another number of classes, background included."""
    outputs = {"cls_score": classes, "box_predictor.bbox_pred": 4 * classes, "mask_fcn_logits": classes}
    counts = {name: next((n for key, n in outputs.items() if key in name), None) for name in shapes}
    return {name: shape if counts[name] is None else (counts[name], *shape[1:]) for name, shape in shapes.items()}


MODELS = {
    "v1": (theirs("mask_rcnn_v1"), CONVENTIONS),
    "v1, older spelling": (older(theirs("mask_rcnn_v1")), change(CONVENTIONS, backbone__norm_eps=0.0)),
    "v2": (
        theirs("mask_rcnn_v2"),
        replace(CONVENTIONS, backbone=ResNet(norm="batch"), **V2_HEADS),
    ),
    "v2, without counters": (
        without_counters(theirs("mask_rcnn_v2")),
        replace(CONVENTIONS, backbone=ResNet(norm="batch"), **V2_HEADS),
    ),
    "v1 of 80 classes": (
        resized(theirs("mask_rcnn_v1"), 81),
        replace(CONVENTIONS, num_classes=80, class_names=COCO_80),
    ),
    "v1 of 2 classes": (resized(theirs("mask_rcnn_v1"), 3), replace(CONVENTIONS, num_classes=2, class_names=())),
    "Faster R-CNN, ResNeXt": (
        theirs("faster_rcnn_resnext50"),
        replace(
            CONVENTIONS,
            num_classes=4,
            class_names=(),
            backbone=ResNet(inner_width=128, groups=32),
            mask_head=None,
        ),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_recognised(name: str):
    shapes, expected = MODELS[name]
    assert recognise(shapes) == expected


@pytest.mark.parametrize("name", MODELS)
def test_every_array_is_mapped(name: str):
    """Every source array is used, every target array is found, and all shapes fit."""
    shapes, config = MODELS[name]
    file = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    wanted = ours(config)
    found = convert(file, rules(wanted, config, file), wanted, unused(file))
    assert found.keys() == wanted.keys()


def test_a_plain_resnet_is_a_backbone():
    shapes = theirs("resnet18")
    config = recognise(shapes)
    assert config == replace(CONVENTIONS, backbone=ResNet(depth=18))
    found = rules(ours(config), config, shapes)
    assert {name.partition(".")[0] for name in found} == {"backbone"}
    used = {name for rule in found.values() for name in rule.names}
    assert used | unused(shapes) == shapes.keys()
    assert unused(shapes) == {n for n in shapes if "tracked" in n} | {"fc.weight", "fc.bias"}


def test_conventions_are_those_of_torchvision():
    """Anything that a file does not say, as torchvision's sources have it."""
    image, proposals, detect = CONVENTIONS.input, CONVENTIONS.rpn.proposals, CONVENTIONS.detect
    # 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 of a full scale of 255.
    np.testing.assert_allclose(image.mean, np.multiply([0.485, 0.456, 0.406], 255))
    np.testing.assert_allclose(image.std, np.multiply([0.229, 0.224, 0.225], 255))
    assert (image.bgr, image.shortest_edge, image.longest_edge, image.buckets) == (False, 800, 1333, ())
    assert (image.floor_size, image.interpolation) == (True, "exact")
    assert CONVENTIONS.rpn.anchors.rounded and CONVENTIONS.rpn.anchors.floor_stride
    assert (proposals.train_top_k, proposals.train_count) == (2000, 2000)
    assert (proposals.top_k, proposals.count, proposals.nms_iou, proposals.min_size) == (1000, 1000, 0.7, 1e-3)
    assert (CONVENTIONS.pool.aligned, CONVENTIONS.pool.sampling_ratio, CONVENTIONS.pool.level_eps) == (False, 2, 1e-6)
    assert (detect.score_threshold, detect.nms_iou, detect.count, detect.min_size) == (0.05, 0.5, 100, 1e-2)
    assert CONVENTIONS.background_outputs and not CONVENTIONS.inclusive_boxes


def test_the_slots_of_coco():
    assert len(COCO_90) == len(set(COCO_90)) == 90 and len(COCO_80) == 80
    # Category ids count from 1.
    assert [COCO_90[i - 1] for i in (1, 12, 13, 90)] == ["person", "N/A 12", "stop sign", "toothbrush"]
    assert [name for name in COCO_90 if not name.startswith("N/A")] == list(COCO_80)


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"layer": (3, 4)},
        {"backbone.body.0.0.weight": (16, 3, 3, 3), "roi_heads.box_predictor.cls_score.weight": (91, 1024)},
        {n: s for n, s in theirs("mask_rcnn_v1").items() if "layer3.4" not in n},
    ],
    ids=["nothing", "something", "MobileNet", "no depth that is known"],
)
def test_others_are_not_recognised(shapes: Shapes):
    assert recognise(shapes) is None


def test_what_a_cut_off_file_lacks_is_listed():
    """It is recognised all the same, as far as it goes."""
    shapes = theirs("mask_rcnn_v1")
    lost = ("roi_heads.box_head", "rpn.head.cls_logits", "backbone.fpn.inner_blocks")
    cut = {name: shape for name, shape in shapes.items() if not name.startswith(lost)}
    config = recognise(cut)
    file = {key: np.broadcast_to(np.float32(0), shape) for key, shape in cut.items()}
    with pytest.raises(ConversionError) as refused:
        convert(file, rules(ours(config), config, file), ours(config), unused(file))
    listed = re.findall(r"missing: ([\w.]+),", str(refused.value))
    assert sorted(listed) == sorted(shapes.keys() - cut.keys())


def test_other_numbers_of_anchors_are_no_guess():
    """Which boxes 5 anchors are is not in the file: who knows passes a configuration."""
    shapes = theirs("mask_rcnn_v1")
    shapes |= {"rpn.head.cls_logits.weight": (5, 256, 1, 1), "rpn.head.cls_logits.bias": (5,)}
    shapes |= {"rpn.head.bbox_pred.weight": (20, 256, 1, 1), "rpn.head.bbox_pred.bias": (20,)}
    file = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    config = recognise(shapes)
    with pytest.raises(ConversionError, match=r"cls_logits.bias \(5,\) does not make rpn_head.logits.bias \(3,\)"):
        convert(file, rules(ours(config), config, file), ours(config), unused(file))
    config = change(config, rpn__anchors__aspect_ratios=(0.25, 0.5, 1.0, 2.0, 4.0))
    assert convert(file, rules(ours(config), config, file), ours(config), unused(file))


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ("backbone.stem.norm.mean", "backbone.body.bn1.running_mean"),
        ("backbone.layer3.5.convs.2.norm.scale", "backbone.body.layer3.5.bn3.weight"),
        ("backbone.layer1.0.shortcut.conv.kernel", "backbone.body.layer1.0.downsample.0.weight"),
        ("fpn.lateral.2.conv.bias", "backbone.fpn.inner_blocks.2.0.bias"),
        ("rpn_head.deltas.kernel", "rpn.head.bbox_pred.weight"),
        ("box_head.fcs.1.kernel", "roi_heads.box_head.fc7.weight"),
        ("mask_head.upsample.conv.kernel", "roi_heads.mask_predictor.conv5_mask.weight"),
        ("mask_head.upsample.bias", "roi_heads.mask_predictor.conv5_mask.bias"),
        ("box_head.norms.0.mean", None),
        ("fpn.extra.conv.kernel", None),
        ("my_head.kernel", None),
    ],
)
def test_entries(ours: str, expected: str | None):
    found = entry(ours, CONVENTIONS)
    assert (found and found.name) == expected


def test_linear_layers_are_numbered_behind_convolutions_and_flattening():
    """Four convolutions are 0 … 3, flattening is 4, and ReLUs stand between."""
    config = change(CONVENTIONS, box_head=BoxHead(convs=4, fcs=(32, 16)))
    names = [entry(f"box_head.fcs.{i}.kernel", config).name for i in (0, 1)]
    assert names == ["roi_heads.box_head.5.weight", "roi_heads.box_head.7.weight"]
