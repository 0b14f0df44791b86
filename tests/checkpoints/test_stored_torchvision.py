"""What torchvision computed of small arrays, stored: see tests/parity/store.py. `make parity` compares with it live."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import maskrcnn_jax as mr
from maskrcnn_jax.config import AnchorConfig, MatchConfig, ModelConfig
from maskrcnn_jax.data.transforms.resize import resize
from maskrcnn_jax.masks.paste import paste_mask, snap
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.anchors import pyramid_anchors
from maskrcnn_jax.ops.matching import match
from maskrcnn_jax.ops.nms import nms
from maskrcnn_jax.ops.roi_align import roi_align
from maskrcnn_jax.structs import GroundTruth, Rois
from maskrcnn_jax.training.targets import mask_targets

STORED = Path(__file__).parents[1] / "stored" / "torchvision.npz"
CODER = (10.0, 10.0, 5.0, 5.0)


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return dict(np.load(STORED))


def test_box_coder(stored):
    anchors, boxes, deltas = (jnp.asarray(stored[f"coder/{name}"]) for name in ("anchors", "boxes", "deltas"))
    np.testing.assert_allclose(box_ops.encode(boxes, anchors, CODER), stored["coder/encoded"], rtol=1e-5, atol=1e-5)
    cap = ModelConfig().rpn.proposals.max_log_scale
    decoded = box_ops.decode(deltas, anchors, CODER, cap)
    np.testing.assert_allclose(decoded, stored["coder/decoded"], rtol=1e-5, atol=1e-3)
    assert (stored["coder/deltas"][:, 2:] / 5 > cap).any()


def test_anchors(stored):
    shapes = ((24, 40), (12, 20), (6, 10), (3, 5), (2, 3))
    config = AnchorConfig(rounded=True, floor_stride=True)
    np.testing.assert_array_equal(pyramid_anchors(config, shapes, (4, 8, 16, 32, 64), (96, 160))[0], stored["anchors"])


@pytest.mark.parametrize(
    ("name", "config"),
    [("rpn", MatchConfig(0.7, 0.3, True, 256, 0.5)), ("box", MatchConfig(0.5, 0.5, False, 512, 0.25))],
)
def test_matching(stored, name: str, config: MatchConfig):
    truth, boxes = jnp.asarray(stored["match/truth"]), jnp.asarray(stored["match/boxes"])
    everything, nothing = jnp.ones(len(truth), bool), jnp.zeros(len(truth), bool)
    thresholds = (config.foreground_iou, config.background_iou, config.low_quality)
    found = match(box_ops.iou(truth, boxes), everything, *thresholds, nothing, None)
    theirs = stored[f"match/{name}"]  # the object's index, -1 below the thresholds, -2 between them
    np.testing.assert_array_equal(found.assignment, np.where(theirs >= 0, 1, np.where(theirs == -1, 0, -1)))
    np.testing.assert_array_equal(np.asarray(found.index)[theirs >= 0], theirs[theirs >= 0])
    assert 6 <= (theirs >= 0).sum() < 100


def test_suppression(stored):
    order = np.argsort(-stored["nms/scores"])
    boxes = jnp.asarray(stored["match/boxes"][order])
    np.testing.assert_array_equal(order[np.asarray(nms(boxes, jnp.ones(len(boxes), bool), 0.4))], stored["nms/kept"])
    assert len(stored["nms/kept"]) < len(boxes)


@pytest.mark.parametrize("ratio", [2, 0])
@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align(stored, ratio: int, aligned: bool):
    boxes = jnp.asarray(stored["roi_align/boxes"])
    level, features = jnp.zeros(len(boxes), jnp.int32), (jnp.asarray(stored["roi_align/features"]),)
    height, width = (8 * side for side in features[0].shape[:2])
    found = roi_align(features, boxes, level, (height, width), 5, ratio, aligned)
    np.testing.assert_allclose(found, stored[f"roi_align/{ratio}/{aligned}"], atol=2e-5)


def test_pasting(stored):
    shape = (8, 50, 64)
    expected = np.unpackbits(stored["paste/pasted"], count=np.prod(shape)).reshape(shape).astype(bool)
    boxes = snap(stored["paste/boxes"], 28, "outward")
    for mask, box, theirs in zip(stored["paste/masks"], boxes, expected, strict=True):
        ours = paste_mask(mask, box, *shape[1:])
        # A value within rounding of ½ may fall to either side.
        assert (ours != theirs).sum() <= 1
    assert 0.02 < expected.mean() < 0.9


def test_mask_targets(stored):
    masks, rois = stored["mask_targets/masks"], jnp.asarray(stored["mask_targets/rois"])
    n, side = len(rois), masks.shape[1]
    index = jnp.arange(n) % 2
    truth = GroundTruth(
        boxes=jnp.zeros((2, 4)),
        labels=jnp.zeros(2, jnp.int32),
        is_crowd=jnp.zeros(2, bool),
        valid=jnp.ones(2, bool),
        masks=jnp.asarray(masks),
        mask_extent=jnp.tile(jnp.array([[0.0, 0.0, side, side]]), (2, 1)),
    )
    found = mask_targets(Rois(rois, jnp.ones(n, bool), index, index), truth, 14, 0, aligned=False, binary=False)
    np.testing.assert_allclose(found, stored["mask_targets/targets"], atol=2e-5)


@pytest.mark.parametrize("name", ["wide", "small"])
def test_resizing(stored, name: str):
    expected = stored[f"resize/{name}/resized"]
    found = resize(stored[f"resize/{name}"], expected.shape[:2], "exact")
    # Of 255. At exact positions, not torch's float32 ones, the wide image would be 4e-3 off.
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.fixture(scope="module")
def model(stored) -> mr.MaskRCNN:
    """The tiny model, as it was stored."""
    prefix = "model/weights/"
    weights = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
    return mr.load_pretrained(weights, config=tiny_config(mr.load_pretrained(weights).config))


def tiny_config(recognised: ModelConfig) -> ModelConfig:
    """The recognised model with the options that no state dict tells."""
    proposals = replace(recognised.rpn.proposals, top_k=60, count=50)
    return replace(
        recognised,
        input=replace(recognised.input, shortest_edge=96, longest_edge=160),
        rpn=replace(recognised.rpn, proposals=proposals),
        detect=replace(recognised.detect, count=10),
    )


def test_whole_model(stored, model: mr.MaskRCNN):
    expected = {name.removeprefix("model/"): value for name, value in stored.items() if name.startswith("model/")}
    fitted = mr.fit(expected["image"], model.config.input)
    structure, *weights = flatten(model)
    run = jax.jit(lambda params, statistics, *x: mr.forward(unflatten(structure, params, statistics), *x))
    trace = jax.device_get(run(*weights, fitted.image[None], fitted.size[None]))
    for i, feature in enumerate(trace.features):
        np.testing.assert_allclose(feature[0], expected[f"P{i + 2}"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(trace.rpn.logits[0], expected["objectness"], atol=1e-3)
    np.testing.assert_allclose(trace.rpn.deltas[0], expected["deltas"], atol=1e-3)
    count = len(expected["proposals"])
    assert trace.proposals.valid[0].sum() == count
    np.testing.assert_allclose(trace.proposals.boxes[0][:count], expected["proposals"], atol=0.01)
    np.testing.assert_allclose(trace.box.logits[0][:count], expected["logits"], atol=1e-3)
    np.testing.assert_allclose(trace.box.deltas[0][:count], expected["box_deltas"], atol=1e-3)
    np.testing.assert_allclose(trace.detections.masks[0], expected["probabilities"], atol=1e-3)


def test_predictor(stored, model: mr.MaskRCNN):
    image = stored["model/image"]
    (found,) = mr.Predictor(model)([image])
    np.testing.assert_array_equal(found.labels, stored["model/labels"])
    np.testing.assert_allclose(found.boxes, stored["model/boxes"], atol=0.01)
    np.testing.assert_allclose(found.scores, stored["model/scores"], atol=1e-4)
    shape = (len(found.labels), *image.shape[:2])
    masks = np.unpackbits(stored["model/masks"], count=np.prod(shape)).reshape(shape).astype(bool)
    overlap = (masks & found.masks).sum((1, 2)) / np.maximum((masks | found.masks).sum((1, 2)), 1)
    assert overlap.mean() > 0.995
