"""Images of any size in, detections in their own pixels out."""

import dataclasses

import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from small import change
from whole_runs import TINY

from maskrcnn_jax.config import ConfigError, InputConfig, MaskHead, ModelConfig
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction import predictor as module
from maskrcnn_jax.prediction.predictor import Predictor, pad_proposals, to_original
from maskrcnn_jax.structs import Detections
from maskrcnn_jax.training.compilation import Compilations

BUCKETS = ((64, 96), (96, 64))


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    """Untrained, with large logits, so that no two scores are close."""
    config = dataclasses.replace(
        load_config(TINY).model, input=InputConfig(shortest_edge=64, longest_edge=96, buckets=BUCKETS)
    )
    model = MaskRCNN(config, rngs=nnx.Rngs(0))
    for layer, factor in ((model.box_head.logits, 200.0), (model.rpn_head.logits, 200.0)):
        layer.kernel[...] = layer.kernel[...] * factor
    return model


@pytest.fixture(scope="module")
def predictor(model: MaskRCNN) -> Predictor:
    return Predictor(model, batch_size=2)


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Coloured blocks."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (5, 5, 3), np.uint8)
    return blocks[np.ix_(np.arange(height) * 5 // height, np.arange(width) * 5 // width)]


def test_no_images_no_detections(predictor: Predictor):
    assert predictor([]) == []


def test_detections_lie_in_their_own_image(predictor: Predictor):
    sizes = [(64, 64), (40, 30), (128, 200), (300, 31), (7, 90), (64, 65), (1, 1)]
    results = predictor([make_image(*size) for size in sizes])
    assert len(results) == len(sizes) and sum(len(r.boxes) for r in results) > 10
    for (height, width), found in zip(sizes, results, strict=True):
        count = len(found.boxes)
        assert found.boxes.shape == (count, 4) and found.boxes.dtype == np.float32
        assert found.masks is not None and found.masks.shape == (count, height, width) and found.masks.dtype == bool
        assert found.scores.shape == found.labels.shape == (count,)
        assert ((found.labels >= 0) & (found.labels < 3)).all()
        assert (np.diff(found.scores) <= 0).all() and (found.scores > predictor.config.detect.score_threshold).all()
        assert (found.boxes >= 0).all() and (found.boxes <= [width, height, width, height]).all()


def test_an_image_alone_equals_the_same_in_a_mixed_batch(predictor: Predictor):
    images = [
        make_image(64, 64, 1),
        make_image(90, 60, 2),
        make_image(128, 128, 3),
        make_image(50, 75, 4),
        make_image(32, 32, 5),
    ]
    together = predictor(images)
    assert all(len(found.boxes) for found in together)
    for image, mixed in zip(images, together, strict=True):
        (alone,) = predictor([image])
        np.testing.assert_array_equal(alone.labels, mixed.labels)
        np.testing.assert_allclose(alone.boxes, mixed.boxes, atol=1e-2)
        np.testing.assert_allclose(alone.scores, mixed.scores, atol=1e-4)
        assert np.mean(alone.masks != mixed.masks) < 1e-3


def test_compilations_are_bounded_for_any_sizes(model: MaskRCNN):
    predictor, rng = Predictor(model, batch_size=2), np.random.default_rng(0)
    with Compilations() as compilations:
        for _ in range(6):
            sizes = rng.integers(20, 200, (rng.integers(1, 6), 2)).tolist()
            predictor([make_image(*size) for size in sizes])
    # 2 buckets, batches of 1 and 2
    assert compilations.programs <= 4


def test_buckets_given_to_the_predictor_replace_the_model_s(model: MaskRCNN):
    predictor = Predictor(model, batch_size=1, buckets=((96, 96),))
    with Compilations() as compilations:
        predictor([make_image(120, 200), make_image(200, 120), make_image(60, 60)])
    assert compilations.programs == 1
    with pytest.raises(ConfigError, match=r"model\.input\.buckets = .*64×96"):
        Predictor(model, buckets=((64, 64),))


@pytest.mark.parametrize("inside", [{}, {"input__centered": True, "inclusive_boxes": True}], ids=["ours", "Matterport"])
def test_proposals_from_outside_are_what_is_classified(model: MaskRCNN, inside: dict[str, bool]):
    """Fast R-CNN. With deltas of zero the detections are the proposals, clipped to the image.

    So they are wherever the network has the image on its canvas, and wherever its boxes end.
    """
    structure, params, rest = nnx.split(model, nnx.Param, ...)
    still = nnx.merge(structure, params, rest)
    still.config = change(model.config, **inside)
    still.box_head.deltas.kernel[...] = still.box_head.deltas.kernel[...] * 0
    boxes = [
        np.array([[10.0, 20, 60, 70], [100, 5, 180, 110], [150, 60, 260, 140]]),
        np.zeros((0, 4)),
        np.array([[3.0, 4, 20, 30]]),
    ]
    results = Predictor(still)([make_image(120, 200), make_image(60, 60), make_image(40, 30)], proposals=boxes)
    assert len(results[0].boxes) and len(results[2].boxes) and not len(results[1].boxes)
    for found, given_boxes, (height, width) in zip(results, boxes, [(120, 200), (60, 60), (40, 30)], strict=True):
        clipped = np.minimum(given_boxes, [width, height, width, height])
        for box in found.boxes:
            assert np.abs(clipped - box).max(axis=1).min() < 1e-3


def test_boxes_and_masks_return_to_the_pixels_of_each_image(model: MaskRCNN, monkeypatch: pytest.MonkeyPatch):
    """Every network input "holds" one object over its whole width and the upper half of its height."""

    def upper_half(*arguments: object) -> Detections:
        *_, images, sizes, _ = arguments
        height, width = np.asarray(sizes).T
        boxes = np.zeros((len(images), 3, 4), np.float32)
        boxes[:, 1, 2], boxes[:, 1, 3] = width, height / 2
        valid = np.array([[False, True, False]] * len(images))
        labels = np.full((len(images), 3), 2, np.int32)
        return Detections(boxes, np.float32(0.7) * valid, labels, valid, np.ones((len(images), 3, 28, 28), np.float32))

    monkeypatch.setattr(module, "Detector", lambda _: upper_half)
    # 30 × 60 grows to 48 × 96 by 1.6, as its longer side must not exceed 96; 256 × 128 shrinks to 96 × 48 by 0.375;
    # 33 × 64 grows to 49.5, rounded up to 50, × 96.
    for height, width in [(30, 60), (256, 128), (33, 64)]:
        (found,) = Predictor(model)([make_image(height, width)])
        np.testing.assert_allclose(found.boxes, [[0, 0, width, height / 2]], atol=1e-4)
        assert found.labels.tolist() == [2] and found.scores.tolist() == [np.float32(0.7)]
        # Near the mask's edge the probability falls to zero, faster in its corners.
        assert found.masks[0][3 : height // 2 - 3, 3:-3].all() and not found.masks[0][height // 2 + 1 :].any()


@given(
    height=st.integers(1, 500),
    width=st.integers(1, 500),
    scale=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
    corners=st.lists(st.integers(0, 1000), min_size=4, max_size=4),
)
def test_scaling_there_and_back_is_the_identity_inside_the_image(height, width, scale, corners):
    x0, x1, y0, y1 = (c / 1000 * side for c, side in zip(corners, (width, width, height, height), strict=True))
    box = np.array([[min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]])
    network = (box * np.tile(scale, 2)).astype(np.float32)
    found = Detections(network, np.ones(1, np.float32), np.zeros(1, np.int32), np.ones(1, bool), None)
    back = to_original(found, (height, width), scale, ModelConfig())
    np.testing.assert_allclose(back.boxes, box, atol=1e-3)
    assert back.masks is None


@pytest.mark.parametrize("rule", ["exact", "outward", "rounded"])
def test_masks_are_pasted_by_the_rule(rule):
    # Half the size: the box becomes 1.6 … 6.25 × 2.25 … 4.
    box, mask = np.array([3.2, 4.5, 12.5, 8.0], np.float32), np.ones((14, 14), np.float32)
    found = Detections(box[None], np.ones(1, np.float32), np.zeros(1, np.int32), np.ones(1, bool), mask[None])
    back = to_original(found, (9, 9), (2.0, 2.0), ModelConfig(mask_head=MaskHead(paste=rule)))
    np.testing.assert_array_equal(back.boxes, box[None] / 2)
    expected = np.zeros((9, 9), bool)
    # Outward: the box grows by a seventh to 1.27 … 6.58 × 2.13 … 4.13, so to pixels 1 … 6 and 2 … 4. Of their 16 cells
    # per side, 6 / 16 and 3 / 16 of a pixel long, the outer are empty: the mask covers 1.375 … 6.625 × 2.19 … 4.81.
    expected[{"exact": np.s_[2:4, 2:6], "outward": np.s_[2:5, 1:7], "rounded": np.s_[2:4, 2:6]}[rule]] = True
    crop = back.masks[0]
    height, width = crop.mask.shape
    found_there = np.zeros_like(expected)
    found_there[crop.y : crop.y + height, crop.x : crop.x + width] = crop.mask
    np.testing.assert_array_equal(found_there, expected)


def test_a_predictor_uses_the_rule_of_its_model(model: MaskRCNN, monkeypatch: pytest.MonkeyPatch):
    head = dataclasses.replace(model.config.mask_head, paste="outward")
    rules = []
    monkeypatch.setattr(module, "snap", lambda boxes, side, rule: (rules.append(rule), boxes)[1])
    Predictor(MaskRCNN(dataclasses.replace(model.config, mask_head=head), rngs=nnx.Rngs(0)))([make_image(64, 64)])
    assert rules == ["outward"]


def test_proposals_are_padded_to_a_power_of_two():
    # Three proposals take four slots.
    three = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 2, 2]])
    padded = pad_proposals([three, three[:1]])
    np.testing.assert_array_equal(padded.boxes[0], [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 2, 2], [0, 0, 0, 0]])
    np.testing.assert_array_equal(padded.valid, [[True, True, True, False], [True, False, False, False]])
    np.testing.assert_array_equal(padded.scores, padded.valid.astype(np.float32))


def test_proposals_must_be_one_array_per_image(predictor: Predictor):
    with pytest.raises(ValueError, match=r"1 arrays of proposals for 2 images: pass one per image"):
        predictor([make_image(8, 8)] * 2, proposals=[np.zeros((1, 4))])


def test_the_batch_size_is_checked(model: MaskRCNN):
    with pytest.raises(ValueError, match="batch_size = 0: must be at least 1"):
        Predictor(model, batch_size=0)


def test_a_model_without_mask_head_gives_boxes_alone(model: MaskRCNN):
    config = dataclasses.replace(model.config, mask_head=None)
    (found,) = Predictor(MaskRCNN(config, rngs=nnx.Rngs(0)))([make_image(64, 64)])
    assert found.masks is None and len(found.boxes)
