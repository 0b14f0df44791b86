"""Exported models run in torchvision: the Python file that is written with the weights builds the same network."""

import dataclasses
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
import torch
from lively import lively
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS, recognise
from maskrcnn_jax.checkpoints.convert.torchvision_script import script
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.config import (
    FPN,
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
from maskrcnn_jax.data.transforms.geometry import fit
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.structs import Detections


def change(config: Any, **fields: Any) -> Any:
    """The configuration with fields replaced, each named by its path: `input__bgr=True`."""
    for path, value in fields.items():
        name, _, rest = path.partition("__")
        new = change(getattr(config, name), **{rest: value}) if rest else value
        config = dataclasses.replace(config, **{name: new})
    return config


THEIRS = change(
    CONVENTIONS,
    num_classes=12,
    class_names=(),
    input__shortest_edge=192,
    input__longest_edge=256,
    backbone=ResNet(depth=18, width=16, norm_eps=0.0),
    fpn__channels=32,
    rpn__anchors__sizes=(12.0, 24.0, 48.0, 96.0, 160.0),
    rpn__proposals__top_k=300,
    rpn__proposals__count=200,
    box_head__fcs=(64, 64),
    mask_head__convs=2,
    mask_head__channels=16,
)
"""A small network with torchvision's conventions."""

V2 = change(
    THEIRS,
    backbone__norm="batch",
    backbone__norm_eps=1e-5,
    fpn__norm="batch",
    rpn__convs=2,
    box_head=BoxHead(convs=2, fcs=(64,), norm="batch"),
    mask_head__norm="batch",
)

OURS = ModelConfig(
    num_classes=12,
    class_names=tuple("abcdefghijkl"),
    input=InputConfig(
        mean=(103.0, 116.0, 123.0), std=(50.0, 60.0, 70.0), bgr=True, shortest_edge=192, longest_edge=256, buckets=()
    ),
    backbone=ResNet(depth=50, width=16, norm="group", inner_width=32, groups=4, stride_in_1x1=True),
    fpn=FPN(channels=32, norm="group", norm_eps=1e-3),
    rpn=RPN(
        anchors=AnchorConfig(sizes=(10.0, 22.0, 45.0, 91.0, 150.0), aspect_ratios=(0.4, 0.7, 1.0, 1.7), offset=0.5),
        proposals=ProposalConfig(
            top_k=200, count=150, nms_iou=0.6, max_log_scale=3.0, box_weights=(1.0, 2.0, 1.0, 2.0)
        ),
    ),
    pool=PoolConfig(sampling_ratio=0, aligned=True, canonical_size=112.0, level_eps=0.0),
    box_head=BoxHead(pool_size=5, convs=1, fcs=(64, 32), norm="batch", norm_eps=1e-3, box_weights=(8.0, 8.0, 4.0, 4.0)),
    mask_head=MaskHead(pool_size=10, convs=1, channels=16, norm="frozen_batch", norm_eps=0.0),
    detect=DetectConfig(score_threshold=0.1, nms_iou=0.4, count=50),
)
"""A small network in which every setting differs from torchvision's."""

CASES = {
    "torchvision v1": THEIRS,
    "torchvision v2": V2,
    "no convention of torchvision": OURS,
    "exact images, outward masks": change(
        OURS, input__interpolation="exact", mask_head__paste="outward", rpn__proposals__max_log_scale=None
    ),
    # Group norm depends on the padding, which changes all values.
    "padded to buckets": change(OURS, input__buckets=((192, 288), (384, 384), (256, 320))),
    "torchvision v1, padded to a bucket": change(THEIRS, input__buckets=((384, 384),)),
}


def make_image(height: int, width: int, seed: int) -> np.ndarray:
    """Coloured rectangles on noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 120, (height, width, 3))
    for _ in range(25):
        y, x = rng.integers(0, height - 10), rng.integers(0, width - 10)
        image[y : y + rng.integers(10, 90), x : x + rng.integers(10, 90)] = rng.integers(0, 255, 3)
    return image.astype(np.uint8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


IMAGES = [make_image(*size, seed) for seed, size in enumerate(((192, 256), (250, 192), (192, 230)))]
"""Their shorter side needs no resizing, which another test covers."""


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def older(name: str) -> str:
    """A name in torchvision's older format, from before its blocks had norms."""
    name = re.sub(r"(fpn\.\w+_blocks\.\d)\.0\.", r"\1.", name).replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    return re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", name)


def exported(model: MaskRCNN, folder: Path) -> torch.nn.Module:
    save_pretrained(model, folder / "model.pth")
    return imported(folder / "model.py").load_model()


def lively_model(config: ModelConfig, folder: Path) -> MaskRCNN:
    """A model that finds many objects: its weights are calibrated in torchvision's model of the same configuration."""
    (folder / "fresh.py").write_text(script(config, "none.pth"))
    fresh = lively(imported(folder / "fresh.py").build_model, [tensor(p) for p in IMAGES], background=3.0)
    return load_pretrained(fresh.state_dict(), config=config)


def agreement(found: Detections, theirs: dict[str, torch.Tensor]) -> np.ndarray:
    """Which of torchvision's detections are found here: same class, boxes within 0.05 pixels, scores within 1e-4."""
    boxes, scores, labels = (theirs[name].detach().numpy() for name in ("boxes", "scores", "labels"))
    near = np.abs(found.boxes[None] - boxes[:, None]).max(axis=-1) <= 0.05
    alike = np.abs(found.scores[None] - scores[:, None]) <= 1e-4
    return near & alike & (found.labels[None] + 1 == labels[:, None])


@pytest.mark.parametrize("name", CASES)
def test_same_detections(name: str, tmp_path: Path):
    model = lively_model(CASES[name], tmp_path)
    theirs = exported(model, tmp_path)
    with torch.no_grad():
        expected = [theirs([tensor(image)])[0] for image in IMAGES]
    for ours, wanted in zip(Predictor(model)(IMAGES), expected, strict=True):
        pairs = agreement(ours, wanted)
        assert len(wanted["boxes"]) >= 20 and len(set(wanted["labels"].tolist())) >= 5
        assert abs(len(ours.boxes) - len(wanted["boxes"])) <= 1
        assert pairs.any(axis=1).mean() >= 0.99
        assert ours.masks is not None
        their_index, our_index = np.nonzero(pairs)
        masks, whole = ours.masks[our_index], wanted["masks"][their_index, 0].numpy() >= 0.5
        both, either = (masks & whole).sum(axis=(1, 2)), (masks | whole).sum(axis=(1, 2))
        assert np.mean(both[either > 0] / either[either > 0]) >= 0.995


def test_without_masks(tmp_path: Path):
    """Faster R-CNN with three fully connected layers of different widths."""
    config = change(THEIRS, box_head__fcs=(64, 48, 32))
    weights = flatten(lively_model(config, tmp_path))
    arrays = {n: a for n, a in jax.device_get(weights[1] | weights[2]).items() if not n.startswith("mask_head")}
    model = load_pretrained(arrays, config=dataclasses.replace(config, mask_head=None))
    with torch.no_grad():
        [expected] = exported(model, tmp_path)([tensor(IMAGES[0])])
    [found] = Predictor(model)(IMAGES[:1])
    assert "masks" not in expected and len(expected["boxes"]) >= 20
    assert agreement(found, expected).any(axis=1).mean() >= 0.99


@pytest.mark.parametrize("interpolation", ["rounded", "exact", "antialiased"])
@pytest.mark.parametrize("floor_size", [True, False])
def test_images_are_resized_as_here(interpolation: str, floor_size: bool, tmp_path: Path):
    """Pillow rounds twice and computes with few bits, so that its values may differ by one."""
    config = change(THEIRS, input__interpolation=interpolation, input__floor_size=floor_size)
    (tmp_path / "model.py").write_text(script(config, "none.pth"))
    transform = imported(tmp_path / "model.py").build_model().eval().transform
    for height, width in ((300, 451), (100, 117), (192, 211), (431, 200)):
        image = make_image(height, width, seed=height)
        theirs = transform([tensor(image)])[0].tensors[0].permute(1, 2, 0).numpy()
        ours = fit(image, config.input)
        height, width = ours.size.astype(int)
        pixels = theirs[:height, :width] * np.float32(config.input.std) + np.float32(config.input.mean)
        assert theirs.shape == ours.image.shape
        difference = np.abs(pixels - ours.image[:height, :width])
        assert difference.max() <= (1.01 if interpolation == "antialiased" else 1e-2)
        assert difference.mean() <= (0.2 if interpolation == "antialiased" else 1e-3)
        assert interpolation == "exact" or np.abs(pixels - np.rint(pixels)).max() <= 1e-2
        assert (theirs[height:] == 0).all() and (theirs[:, width:] == 0).all()


def test_the_older_names(tmp_path: Path):
    """torchvision loads them, and so does this project; they imply an eps of 0, as in the published files."""
    (tmp_path / "model.py").write_text(script(THEIRS, "none.pth"))
    model = imported(tmp_path / "model.py").build_model()
    newer = model.state_dict()
    spelled = {older(name): array for name, array in newer.items()}
    assert len(newer.keys() - spelled.keys()) == 2 * (4 + 4 + 1 + 2)
    model.load_state_dict(spelled, strict=True)
    ours, same = (flatten(load_pretrained(s, config=THEIRS)) for s in (spelled, newer))
    for mine, theirs in zip(ours[1:], same[1:], strict=True):
        assert mine.keys() == theirs.keys() and all((mine[name] == theirs[name]).all() for name in mine)
    epsilons = [recognise({n: tuple(a.shape) for n, a in s.items()}).backbone.norm_eps for s in (spelled, newer)]
    assert epsilons == [0.0, 1e-5]


def test_trained_weights_load_in_torchvisions_own_functions(tmp_path: Path):
    """v1 and v2 load the written weights with `strict=True`, bit by bit."""
    for make in (maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2):
        theirs = make(weights=None, weights_backbone=None, num_classes=4)
        torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
        model = load_pretrained(theirs.state_dict())
        save_pretrained(model, tmp_path / "ours.pth")
        for mapped in (True, False):
            written = torch.load(tmp_path / "ours.pth", weights_only=True, mmap=mapped)
            assert written.keys() == theirs.state_dict().keys()
            assert all(torch.equal(written[name], array) for name, array in theirs.state_dict().items())
        theirs.load_state_dict(written, strict=True)
