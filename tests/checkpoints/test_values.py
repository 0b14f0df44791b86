"""Settings in arrays and in a configuration beside them are used; others are assumed, with a reason."""

from pathlib import Path

import numpy as np
import pytest
from detectron2_checkpoint import R50, SMALL, detector, resnet
from matterport_checkpoint import BLOCKS, layers, shapes_by_name
from test_naming import recognised, torchvision

from maskrcnn_jax.checkpoints.convert import detectron2_values, matterport_values, torchvision_values
from maskrcnn_jax.checkpoints.convert.detectron2_yaml import read_yaml
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.convert.values import Reading
from maskrcnn_jax.config import ModelConfig

D2 = detector(**SMALL)
BASE = recognised(D2).config
CELLS = "proposal_generator.anchor_generator.cell_anchors"


def d2(extra: dict[str, np.ndarray]) -> Reading:
    arrays = {name: np.broadcast_to(np.float32(1), shape) for name, shape in D2.items()} | extra
    return detectron2_values.read(arrays, BASE, None)


# Pixels.


def test_pixels_of_the_file_are_used():
    """X101's in the order blue, green, red; and torchvision's in RGB on the scale to 255."""
    x101 = {"pixel_mean": np.float32([103.53, 116.28, 123.675]), "pixel_std": np.float32([57.375, 57.12, 58.395])}
    found = d2({name: value.reshape(3, 1, 1) for name, value in x101.items()})
    assert found.config.input.mean == (123.675, 116.28, 103.53) and found.config.input.bgr
    assert found.config.input.std == (58.395, 57.12, 57.375)
    assert "pixel_mean and pixel_std of the file are taken" in found.notes[0]
    found = d2({name: value[::-1] for name, value in x101.items()})
    assert found.config.input.mean == (123.675, 116.28, 103.53) and not found.config.input.bgr
    assert set(found.assumed) == {"backbone.stride_in_1x1"}


def test_a_missing_normalisation_is_assumed():
    found = d2({})
    assert set(found.assumed) == {"input.mean", "input.std", "input.bgr", "backbone.stride_in_1x1"}
    assert found.config == BASE and found.notes == ()


@pytest.mark.parametrize("values", [[1.0, 2.0], [np.nan, 1, 1], [[1.0] * 4]])
def test_wrong_pixels_are_named(values: list):
    with pytest.raises(ConversionError, match=r"pixel_mean is .*: wanted a finite number for each of 3 channels"):
        d2({"pixel_mean": np.float32(values)})
    with pytest.raises(ConversionError, match=r"pixel_std is \[0\.0"):
        d2({"pixel_std": np.zeros(3, np.float32)})


# Anchors of Detectron2.


def cells(sizes: list[float], ratios: list[float]) -> dict[str, np.ndarray]:
    """Width is size / √ratio, height size · √ratio, about the origin."""
    boxes = [[[-s / r**0.5 / 2, -s * r**0.5 / 2, s / r**0.5 / 2, s * r**0.5 / 2] for r in ratios] for s in sizes]
    return {f"{CELLS}.{level}": np.float32(one) for level, one in enumerate(boxes)}


def test_anchors_of_the_file_are_used():
    same = d2(cells([32, 64, 128, 256, 512], [0.5, 1, 2]))
    assert same.config == BASE and same.notes == ()
    found = d2(cells([16, 32, 64, 128, 256], [1, 0.5, 3]))
    assert found.config.rpn.anchors.sizes == (16, 32, 64, 128, 256)
    assert found.config.rpn.anchors.aspect_ratios == (1, 0.5, 3)
    assert found.notes[0].startswith("cell_anchors of the file are taken: sizes (16.0")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (cells([32, 64, 128, 256], [1]), r"of levels \[0, 1, 2, 3\]"),
        ({f"{CELLS}.0": np.float32([[-16, -16, 16, 16], [-32, -32, 32, 32]])}, r"sizes \[32\.0, 64\.0\]; here"),
        ({f"{CELLS}.0": np.float32([[0, 0, 16, 16]])}, "not about the origin"),
        ({f"{CELLS}.0": np.zeros((3, 4))}, "are empty"),
        ({f"{CELLS}.0": np.zeros((3, 5))}, "holds no anchors"),
        ({f"{CELLS}.0": np.full((3, 4), np.nan)}, "holds no anchors"),
        (cells([32, 64, 128, 256, 512], [1]) | {f"{CELLS}.1": np.float32([[-4, -1, 4, 1]])}, "other ratios on each"),
    ],
)
def test_anchors_that_a_model_here_cannot_have_are_named(extra: dict[str, np.ndarray], message: str):
    with pytest.raises(ConversionError, match=message):
        d2(extra)


# The configuration beside the file.

YAML = """
INPUT: {FORMAT: RGB, MIN_SIZE_TEST: 600, MAX_SIZE_TEST: 1000}
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  PIXEL_MEAN: [123.675, 116.28, 103.53]
  PIXEL_STD: [58.395, 57.12, 57.375]
  RESNETS: {DEPTH: 50, STRIDE_IN_1X1: false, NORM: SyncBN, NUM_GROUPS: 1}
  ANCHOR_GENERATOR:
    SIZES: [[16], [32], [64], [128], [256]]
    ASPECT_RATIOS: !!python/tuple [[0.5, 1.0, 2.0]]
  RPN: {NMS_THRESH: 0.8, PRE_NMS_TOPK_TEST: 500, POST_NMS_TOPK_TRAIN: 900}
  ROI_HEADS: {NUM_CLASSES: 3, SCORE_THRESH_TEST: 0.3, NMS_THRESH_TEST: 0.6}
  ROI_BOX_HEAD: {POOLER_TYPE: ROIAlign, POOLER_SAMPLING_RATIO: 2, BBOX_REG_WEIGHTS: "(20.0, 20.0, 10.0, 10.0)"}
TEST: {DETECTIONS_PER_IMAGE: 50}
"""


def beside(folder: Path, text: str) -> Reading:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    found = read_yaml(folder / "model_final.pth", BASE)
    return Reading(found.config, found.notes)


def test_the_configuration_beside_is_used(tmp_path: Path):
    found = beside(tmp_path, YAML).config
    assert (found.input.bgr, found.input.std) == (False, (58.395, 57.12, 57.375))
    assert (found.input.shortest_edge, found.input.longest_edge) == (600, 1000)
    assert (found.backbone.stride_in_1x1, found.backbone.norm) == (False, "batch")
    assert found.rpn.anchors.sizes == (16, 32, 64, 128, 256)
    proposals = found.rpn.proposals
    assert (proposals.nms_iou, proposals.top_k, proposals.train_count) == (0.8, 500, 900)
    assert (found.detect.score_threshold, found.detect.nms_iou, found.detect.count) == (0.3, 0.6, 50)
    assert (found.pool.aligned, found.pool.sampling_ratio) == (False, 2)
    assert found.box_head.box_weights == (20, 20, 10, 10)


def test_a_configuration_is_found_by_the_file_it_lies_beside(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(YAML, encoding="utf-8")
    arrays = {name: np.broadcast_to(np.float32(1), shape) for name, shape in D2.items()}
    found = detectron2_values.read(arrays, BASE, tmp_path / "model.pth")
    assert not found.assumed and found.config.detect.count == 50
    # A file of a mere backbone is not what the configuration beside it is of.
    shapes: dict[str, tuple[int, ...]] = {}
    resnet(shapes, "", R50, 8, 8, 1, "BN")
    backbone = {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}
    assert detectron2_values.read(backbone, BASE, tmp_path / "R-50.pkl").config == BASE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MODEL: {RESNETS: {DEFORM_ON_PER_STAGE: [false, true, true, true]}}", "DEFORM_ON_PER_STAGE"),
        ("MODEL: {ROI_HEADS: {NAME: CascadeROIHeads}}", "ROI_HEADS.NAME = 'CascadeROIHeads'"),
        ("MODEL: {ANCHOR_GENERATOR: {SIZES: [[32, 64]]}}", "one per level for 5 levels"),
        ("MODEL: {ANCHOR_GENERATOR: {ASPECT_RATIOS: [[1], [2]]}}", "the same for all levels"),
        ("MODEL: {ROI_HEADS: {NMS_THRESH_TEST: 7}}", "wanted a number from 0 to 1"),
        ("MODEL: {PIXEL_MEAN: [1, 2]}", "wanted 3 numbers"),
        ("MODEL: {RPN: {PRE_NMS_TOPK_TEST: 1.5}}", "wanted a whole number"),
        ("MODEL: {RESNETS: {NORM: LN}}", "one of"),
        ("MODEL: {ROI_BOX_HEAD: {POOLER_TYPE: ROIPool}}", "POOLER_TYPE"),
    ],
)
def test_what_a_model_here_does_not_have_is_refused_by_name(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConversionError, match=message):
        beside(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {max_epochs: 3}", "is no configuration of Detectron2"),
        ("- a\n- b", "is no configuration of Detectron2"),
        ("MODEL: {RESNETS: {DEPTH: 101}}", "is of another model and is not used.*DEPTH = 101, and the weights have 50"),
        ("MODEL: {ROI_HEADS: {NUM_CLASSES: 80}}", "NUM_CLASSES = 80, and the weights have 3"),
        ("MODEL: [", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("x" * 300_000, "cannot be read"),
        ("MODEL: {}\nx: &x !!python/object/apply:os.mkdir [mark]", "settings are taken from"),
        ("_BASE_: ../base.yaml\nMODEL: {}", "its _BASE_ is not read"),
        ("MODEL: {RPN: {NMS_THRESH: null}}", "settings are taken from"),
    ],
    ids=lambda text: text[:20],
)
def test_other_files_of_that_name_are_left_alone(tmp_path: Path, text: str, message: str):
    found = beside(tmp_path, text)
    assert found.config == BASE
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found.notes[0])
    assert not (tmp_path / "mark").exists() and not Path("mark").exists()


def test_lists_that_aliases_multiply_are_no_values(tmp_path: Path):
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    text = f"a0: &a0 [1]\n{levels}MODEL: {{ANCHOR_GENERATOR: {{SIZES: *a29}}, PIXEL_MEAN: *a29}}"
    with pytest.raises(ConversionError, match=r"PIXEL_MEAN = .{,70}: wanted 3 numbers"):
        beside(tmp_path, text)


# Matterport's anchors.

MATTERPORT = shapes_by_name(layers(BLOCKS, classes=4, width=8, pyramid=16, rpn=24, fc=32, mask=12))


def anchors(side: int, sizes: tuple[float, ...], ratios: tuple[float, ...] = (0.5, 1, 2)) -> np.ndarray:
    """As `mrcnn/utils.py` makes them, ratios being width over height, in loops; then normalised."""
    found = []
    for size, stride in zip(sizes, (4, 8, 16, 32, 64), strict=True):
        for y in range(0, side, stride):
            for x in range(0, side, stride):
                for ratio in ratios:
                    h, w = size / ratio**0.5, size * ratio**0.5
                    found.append([y - h / 2, x - w / 2, y + h / 2, x + w / 2])
    return ((np.array(found) - [0, 0, 1, 1]) / (side - 1)).astype(np.float32)


def matterport(extra: np.ndarray | None) -> tuple[ModelConfig, Reading]:
    base = recognised(MATTERPORT).config
    arrays = {name: np.broadcast_to(np.float32(1), shape) for name, shape in MATTERPORT.items()}
    return base, matterport_values.read(arrays if extra is None else arrays | {"anchors/Variable": extra}, base, None)


def test_the_input_size_of_matterports_anchors_is_used():
    base, found = matterport(anchors(256, (8, 16, 32, 64, 128))[None])
    assert found.config.input.longest_edge == 256 and found.config.input.buckets == ((256, 256),)
    assert found.config.input.shortest_edge == 256
    assert found.config.rpn.anchors.sizes == (8, 16, 32, 64, 128)
    assert found.config.rpn.anchors.aspect_ratios == base.rpn.anchors.aspect_ratios
    assert found.config.pool.canonical_size == 224 * 255 / 256
    assert found.notes[0].startswith("anchors of the file are taken: images of 256×256, sizes (8.0")
    assert not found.assumed


def test_without_anchors_the_input_size_is_assumed():
    base, found = matterport(None)
    assert found.config == base and set(found.assumed) == {"input.longest_edge", "rpn.anchors.sizes"}


@pytest.mark.parametrize("extra", [np.zeros((5, 4)), np.zeros((4,)), np.zeros((0, 4)), np.zeros((1, 4092, 4)), None])
def test_wrong_anchors_of_matterport_are_named(extra: np.ndarray | None):
    """4092 = 3 · (32² + 16² + 8² + 4² + 2²) anchors are those of a square of 128, and those here are empty."""
    mixed = anchors(128, (8, 16, 32, 64, 128))
    mixed[1] *= 2
    with pytest.raises(ConversionError, match=r"anchors/Variable .*(holds|has|no square)"):
        matterport(mixed if extra is None else extra)


# What torchvision's files leave open.


@pytest.mark.parametrize(("variance", "said"), [(1e-6, True), (0.5, False)])
def test_the_epsilon_of_torchvision_is_assumed_where_it_matters(variance: float, said: bool):
    shapes = {name: shape for name, shape in torchvision().items() if "num_batches" not in name}
    config = recognised(shapes).config
    assert config.backbone.norm == "frozen_batch"
    arrays = {name: np.broadcast_to(np.float32(variance), shape) for name, shape in shapes.items()}
    assumed = torchvision_values.read(arrays, config, None).assumed
    assert ("backbone.norm_eps" in assumed) == said
    if said:
        assert "published v1 detectors were trained with 0" in assumed["backbone.norm_eps"]


def test_the_pixels_of_a_bare_backbone_are_assumed():
    shapes = torchvision("resnet18")
    arrays = {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}
    found = torchvision_values.read(arrays, recognised(shapes).config, None)
    assert set(found.assumed) == {"input.mean", "input.std", "input.bgr"}
