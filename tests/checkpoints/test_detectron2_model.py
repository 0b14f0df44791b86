"""What of Detectron2's files is recognised, and where each array goes, on written lists of the published shapes."""

from pathlib import Path

import numpy as np
import pytest
from detectron2_checkpoint import (
    BUFFERS,
    LSJ,
    R50,
    R101,
    SMALL,
    caffe2_resnet,
    detector,
    random_arrays,
    resnet,
    write,
)
from flax import nnx

from maskrcnn_jax.checkpoints.convert import detectron2
from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80
from maskrcnn_jax.checkpoints.convert.detectron2_model import recognise
from maskrcnn_jax.checkpoints.convert.detectron2_names import current_name, unused
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, convert
from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.config import InputConfig, ModelConfig
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn import params as weights


def our_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    _, params, statistics = weights.flatten(nnx.eval_shape(lambda: MaskRCNN(config, rngs=nnx.Rngs(0))))
    return {name: array.shape for name, array in (params | statistics).items()}


def recognised(shapes: dict[str, tuple[int, ...]]) -> ModelConfig:
    config = recognise(shapes)
    assert config is not None
    return config


def plain_resnet(**sizes: int) -> dict[str, tuple[int, ...]]:
    """As `convert-torchvision-to-d2.py` writes it."""
    found: dict[str, tuple[int, ...]] = {"stem.fc.weight": (1000, 2048), "stem.fc.bias": (1000,)}
    resnet(found, "", R50, **({"width": 64, "inner": 64, "groups": 1} | sizes), norm="BN")
    return found


ZOO = {
    "R50": detector(),
    "R101": detector(R101),
    "X101": detector(R101, inner=256, groups=32),
    "Faster R-CNN": detector(masks=False),
    "LSJ": detector(**LSJ),
    "GN": detector(backbone_norm="GN", norm="GN", box_convs=4, fcs=1),
    "small": detector(**SMALL),
}


@pytest.mark.parametrize("kind", ZOO)
def test_every_array_is_mapped(kind: str):
    """The names on both sides are the same set, and the shapes fit: nothing is left, nothing is missing."""
    theirs = ZOO[kind]
    config = recognised(theirs)
    shapes = our_shapes(config)
    rules = detectron2.rules(shapes, config, theirs)
    assert rules.keys() == shapes.keys()
    assert {name for rule in rules.values() for name in rule.names} == theirs.keys()
    for name, rule in rules.items():
        # Views of one number: the published arrays without their memory.
        assert rule.read(*(np.broadcast_to(np.float32(0), theirs[n]) for n in rule.names)).shape == shapes[name]


def test_what_the_zoo_has_in_common():
    for kind, theirs in ZOO.items():
        config = recognised(theirs)
        assert config.input.mean == (123.675, 116.28, 103.53) and config.input.bgr
        assert (config.pool.sampling_ratio, config.pool.aligned, config.pool.level_eps) == (0, True, 0.0)
        assert not config.rpn.anchors.rounded and not config.background_outputs
        assert (config.rpn.proposals.top_k, config.rpn.proposals.count) == (1000, 1000)
        assert (config.rpn.proposals.train_top_k, config.rpn.proposals.train_count) == (2000, 1000)
        assert (config.detect.score_threshold, config.detect.nms_iou, config.detect.count) == (0.05, 0.5, 100)
        assert config.class_names == (() if kind == "small" else COCO_80)
        assert (config.mask_head is None) == (kind == "Faster R-CNN")


@pytest.mark.parametrize(
    ("kind", "depth", "norm", "stride_in_1x1", "std"),
    [
        ("R50", 50, "frozen_batch", True, (1, 1, 1)),
        ("R101", 101, "frozen_batch", True, (1, 1, 1)),
        ("X101", 101, "frozen_batch", False, (58.395, 57.12, 57.375)),
        ("LSJ", 50, "batch", True, (1, 1, 1)),
        ("GN", 50, "group", False, (1, 1, 1)),
    ],
)
def test_backbones_of_the_zoo(kind: str, depth: int, norm: str, stride_in_1x1: bool, std: tuple[float, ...]):
    config = recognised(ZOO[kind])
    assert (config.backbone.depth, config.backbone.norm, config.backbone.norm_eps) == (depth, norm, 1e-5)
    assert (config.backbone.stride_in_1x1, config.input.std) == (stride_in_1x1, std)


def test_resnext():
    backbone = recognised(ZOO["X101"]).backbone
    assert (backbone.width, backbone.inner_width, backbone.groups) == (64, 256, 32)


def test_new_baselines():
    config = recognised(ZOO["LSJ"])
    assert config.mask_head is not None
    assert (config.rpn.convs, config.box_head.convs, config.box_head.fcs) == (2, 4, (1024,))
    assert config.fpn.norm == config.box_head.norm == config.mask_head.norm == "batch"


def test_buffers_and_counters_are_left_out():
    theirs = detector(**SMALL) | BUFFERS
    assert recognise(theirs) == recognise(detector(**SMALL))
    assert unused(theirs) == BUFFERS.keys()


@pytest.mark.parametrize(
    "missing",
    ["backbone.bottom_up.stem.conv1", "backbone.bottom_up.res4.5.conv1", "roi_heads.box_predictor.cls_score"],
)
def test_other_networks_are_not_taken_for_it(missing: str):
    theirs = detector(**SMALL)
    del theirs[f"{missing}.weight"]
    assert recognise(theirs) is None


def test_what_does_not_fit_is_listed_at_once():
    theirs = detector(**SMALL)
    config = recognised(theirs)
    file = {name: np.zeros(shape, np.float32) for name, shape in theirs.items()}
    del file["roi_heads.box_head.fc2.bias"]
    file["roi_heads.keypoint_head.score.weight"] = np.zeros((1, 2), np.float32)
    file["roi_heads.mask_head.deconv.weight"] = np.zeros((16, 4, 2, 2), np.float32)
    shapes = our_shapes(config)
    with pytest.raises(ConversionError) as caught:
        convert(file, detectron2.rules(shapes, config, file), shapes, unused(file))
    assert str(caught.value).splitlines()[1:] == [
        "  missing: roi_heads.box_head.fc2.bias, for box_head.fcs.1.bias (32,)",
        "  shape: roi_heads.mask_head.deconv.weight (16, 4, 2, 2) does not make mask_head.upsample.conv.kernel "
        "(1, 1, 16, 64)",
        "  unexpected: roi_heads.keypoint_head.score.weight (1, 2)",
    ]


# Backbones alone.


@pytest.mark.parametrize(
    ("theirs", "todays"),
    [
        ("conv1_w", "stem.conv1.weight"),
        ("res_conv1_bn_s", "stem.conv1.norm.weight"),
        ("conv1_gn_b", "stem.conv1.norm.bias"),
        ("res2_0_branch1_w", "res2.0.shortcut.weight"),
        ("res4_22_branch2b_bn_rm", "res4.22.conv2.norm.running_mean"),
        ("res5_2_branch2c_bn_riv", "res5.2.conv3.norm.running_var"),
        ("res3_1_branch2a_bn_running_var", "res3.1.conv1.norm.running_var"),
        ("res3_1_branch2a_bn_gamma", "res3.1.conv1.norm.weight"),
        ("res2.1.conv2.weight", "res2.1.conv2.weight"),
    ],
)
def test_names_from_caffe2(theirs: str, todays: str):
    assert current_name(theirs) == f"backbone.bottom_up.{todays}"


@pytest.mark.parametrize("name", ["fc1000_w", "res2_0_branch2a_b", "roi_heads.box_head.conv1.weight", "conv1.weight"])
def test_other_names_stay(name: str):
    assert current_name(name) == name


@pytest.mark.parametrize("statistics", [("s", "b"), ("s", "b", "rm", "riv")], ids=["folded", "whole"])
def test_backbone_of_msra(statistics: tuple[str, ...], tmp_path: Path):
    """Folded, scale and bias are the whole norm; the bias of the first convolution is not used, as in Detectron2."""
    shapes = caffe2_resnet(R50, 8, statistics)
    config = recognised(shapes)
    assert (config.backbone.depth, config.backbone.norm) == (50, "frozen_batch")
    assert config.backbone.stride_in_1x1 and config.input.bgr and config.input.std == (1, 1, 1)
    rng = np.random.default_rng(0)
    arrays = random_arrays(rng, shapes)
    write(tmp_path / "R-50.pkl", arrays, matching_heuristics=True)
    file = open_weights(tmp_path / "R-50.pkl")
    ours = our_shapes(config)
    rules = detectron2.rules(ours, config, file.keys())
    assert rules.keys() == {name for name in ours if name.startswith("backbone.")}
    wanted = {name: ours[name] for name in rules}
    got = convert(file, rules, wanted, unused(file))
    assert unused(file) == {"conv1_b", "fc1000_w", "fc1000_b"}

    x = rng.normal(size=(8, 5, 5))
    norm = {part: got[f"backbone.layer1.0.convs.0.norm.{part}"] for part in ("scale", "bias", "mean", "var")}
    ours_applied = (x.transpose(1, 2, 0) - norm["mean"]) / np.sqrt(norm["var"] + 1e-5) * norm["scale"] + norm["bias"]
    if "rm" in statistics:
        mean, var = (arrays[f"res2_0_branch2a_bn_{kind}"][:, None, None] for kind in ("rm", "riv"))
        x = (x - mean) / np.sqrt(var + 1e-5)
    scale, bias = (arrays[f"res2_0_branch2a_bn_{kind}"][:, None, None] for kind in ("s", "b"))
    np.testing.assert_allclose(ours_applied.transpose(2, 0, 1), x * scale + bias, rtol=1e-5, atol=1e-6)


def test_backbone_from_torchvision():
    theirs = plain_resnet()
    config = recognised(theirs)
    assert config.input == InputConfig(interpolation="antialiased", buckets=())
    assert not config.backbone.stride_in_1x1 and config.backbone.norm == "frozen_batch"
    rules = detectron2.rules(our_shapes(config), config, theirs)
    assert {name for rule in rules.values() for name in rule.names} == theirs.keys() - {
        "stem.fc.weight",
        "stem.fc.bias",
    }
