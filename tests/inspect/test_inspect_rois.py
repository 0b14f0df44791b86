"""What training asks of rois: random boxes lie where they should, and targets are those of training's own functions."""

import dataclasses

import jax
import numpy as np
import pytest
from examples import inspected
from small import CONFIG, OBJECTS, SIDE, change, mixed, truth

from maskrcnn_jax.inspect.data.roi_steps import (
    DRAWN,
    mask_target_figure,
    roi_class_table,
    roi_count_table,
    roi_figure,
    share_figure,
)
from maskrcnn_jax.inspect.data.roi_targets import RoiCount, RoiTargets, count_rois, random_proposals, roi_targets
from maskrcnn_jax.model import stages
from maskrcnn_jax.structs import Batch, GroundTruth, Proposals

NAMES = ("cat", "dog", "owl")
BACKGROUND = len(NAMES)
REGION = np.array([0, 0, SIDE, SIDE - 4], np.float32)
SAMPLE = Batch(np.zeros((SIDE, SIDE, 3), np.uint8), np.full(2, SIDE, np.float32), np.int32(7), truth())
KEY = jax.random.key(3)


def host(ground_truth: GroundTruth) -> GroundTruth:
    return jax.device_get(ground_truth)


def draw(*objects, count: int = 2000, **fields) -> Proposals:
    ground_truth = host(truth(*objects))._replace(**fields)
    return random_proposals(np.random.default_rng(0), ground_truth, REGION, count)


@pytest.fixture(scope="module")
def targets() -> RoiTargets:
    return roi_targets(KEY, draw(*OBJECTS[:3]), host(truth(*OBJECTS[:3])), CONFIG, BACKGROUND)


def within(boxes: np.ndarray, region: tuple[float, float, float, float]) -> np.ndarray:
    return (boxes[:, :2] >= region[:2]).all(axis=1) & (boxes[:, 2:] <= region[2:]).all(axis=1)


def test_nine_of_ten_boxes_lie_around_objects():
    found = draw(([30.0, 20.0, 40.0, 24.0], 0))
    # grown by its own sides, 10 × 4: x from 20 to 50, y from 16 to 28
    near = within(found.boxes, (20, 16, 50, 28))
    assert near[:1800].all() and near[1800:].mean() < 0.1
    corners = found.boxes[:1800]
    np.testing.assert_allclose(corners.min(axis=0)[:2], (20, 16), atol=0.2)
    np.testing.assert_allclose(corners.max(axis=0)[2:], (50, 28), atol=0.2)
    # the lesser of two uniform numbers has its mean at a third
    np.testing.assert_allclose(corners[:, 0].mean(), 20 + 30 / 3, atol=0.7)
    assert within(found.boxes, tuple(REGION)).all()
    assert (found.boxes[:, 2:] >= found.boxes[:, :2]).all()


def test_boxes_stay_in_the_image():
    found = draw(([0.0, 40.0, 30.0, 60.0], 0))
    assert within(found.boxes[:1800], (0, 20, 60, 60)).all()  # its surroundings, cut to the image


def test_objects_share_the_boxes():
    found = draw(([0.0, 0.0, 4.0, 4.0], 0), ([50.0, 50.0, 54.0, 54.0], 0))
    assert within(found.boxes[:1800:2], (0, 0, 8, 8)).all() and within(found.boxes[1:1800:2], (46, 46, 58, 58)).all()


def test_slivers_are_not_valid():
    found = draw(([30.0, 20.0, 40.0, 24.0], 0))
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    np.testing.assert_array_equal(found.valid, sides.min(axis=1) >= 1)
    assert 0 < found.valid.sum() < len(found.valid)


@pytest.mark.parametrize(
    "found",
    [draw(), draw(([30.0, 20.0, 40.0, 24.0], 0), is_crowd=np.array([True, False, False, False]))],
    ids=["no object", "a crowd"],
)
def test_without_objects_boxes_lie_anywhere(found: Proposals):
    assert within(found.boxes, (20, 16, 50, 28)).mean() < 0.1
    np.testing.assert_allclose(found.boxes.max(axis=0)[2:], REGION[2:], atol=0.2)


def test_rois_are_those_of_training(targets: RoiTargets):
    sample = jax.jit(stages.sample_rois, static_argnums=(3, 4, 5))
    match, append = CONFIG.sampling.rois, CONFIG.sampling.append_ground_truth
    expected = sample(KEY, draw(*OBJECTS[:3]), truth(*OBJECTS[:3]), BACKGROUND, match, append)
    for sampled, wanted in zip(targets.rois, expected, strict=True):
        np.testing.assert_array_equal(sampled, wanted)
    assert targets.foreground.sum() == match.count * match.foreground_fraction
    assert targets.rois.valid.sum() == match.count


def test_foreground_rois_land_on_their_object(targets: RoiTargets):
    boxes = np.array([box for box, _ in OBJECTS[:3]], np.float32)[targets.rois.matched_index]
    np.testing.assert_allclose(targets.refined[targets.foreground], boxes[targets.foreground], atol=1e-4)
    assert not np.allclose(targets.rois.boxes[targets.foreground], boxes[targets.foreground])


def test_mask_targets_are_what_objects_cover():
    """Every object fills the left half of its box: so does the target of a roi that is its box."""
    objects = host(truth(*OBJECTS[:3]))
    proposals = Proposals(objects.boxes[:3], np.zeros(3, np.float32), np.ones(3, bool))
    config = change(CONFIG, sampling__rois=dataclasses.replace(CONFIG.sampling.rois, foreground_fraction=1.0))
    targets = roi_targets(KEY, proposals, objects, config, BACKGROUND)
    assert targets.masks is not None and targets.masks.shape[1:] == (28, 28)
    assert targets.foreground.sum() == 6  # the objects' own boxes and the proposals, which are the same
    for mask in targets.masks[targets.foreground]:
        assert mask[:, :13].all() and not mask[:, 15:].any()


def test_a_network_without_masks():
    config = change(CONFIG, model__mask_head=None)
    targets = roi_targets(KEY, draw(*OBJECTS[:3]), host(truth(*OBJECTS[:3])), config, BACKGROUND)
    assert targets.masks is None
    assert len(roi_figure(inspected(sample=SAMPLE, roi_targets=targets)).axes[0].images) == 1  # the image alone


def test_foreground_of_batches():
    batches = [jax.device_get(mixed())] * 2
    counts = list(count_rois(batches, CONFIG, BACKGROUND, seed=0))
    assert [(count.step, count.image_id) for count in counts] == [(s, i) for s in (0, 1) for i in range(4)]
    assert [count.objects for count in counts] == [4, 1, 0, 2] * 2
    match = CONFIG.sampling.rois
    assert {count.rois for count in counts} == {match.count}
    assert [count.foreground for count in counts] == [4, 4, 0, 4] * 2  # a quarter of 16, where there are objects
    assert counts == list(count_rois(batches, CONFIG, BACKGROUND, seed=0))


def test_tables_by_hand(targets: RoiTargets):
    counts = [RoiCount(0, 5, 2, 16, 4), RoiCount(0, 6, 0, 16, 0), RoiCount(1, 7, 1, 10, 1)]
    assert roi_count_table(counts).entries == [(0, 2, 2, 32, 4, "12.5%"), (1, 1, 1, 10, 1, "10.0%")]
    entries = dict(roi_class_table(inspected(roi_targets=targets)).entries)
    assert entries.pop("background") == 12 and sum(entries.values()) == 4 and set(entries) <= set(NAMES)


def test_figure_of_rois(targets: RoiTargets):
    figure = roi_figure(inspected(sample=SAMPLE, roi_targets=targets))
    background, rois, refined, lines = figure.axes[0].collections
    assert [len(c.get_paths()) for c in (background, rois, refined, lines)] == [DRAWN, 4, 4, 4]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-1] == "background" and set(names[:-1]) <= set(NAMES)


def test_figure_of_mask_targets(targets: RoiTargets):
    figure = mask_target_figure(inspected(sample=SAMPLE, roi_targets=targets))
    chosen = np.flatnonzero(targets.foreground)
    pairs = list(zip(figure.axes[::2], figure.axes[1::2], strict=True))[: len(chosen)]
    for (left, right), n in zip(pairs, chosen, strict=True):
        assert right.get_title() == NAMES[targets.rois.labels[n]]
        np.testing.assert_array_equal(right.images[0].get_array() > 0, targets.masks[n] > 0)
        (x0, x1), (y1, y0) = left.get_xlim(), left.get_ylim()
        for box in (targets.rois.boxes[n], targets.refined[n]):
            assert x0 < box[0] and box[2] < x1 and y0 < box[1] and box[3] < y1
        assert x1 - x0 == pytest.approx(y1 - y0)


def test_figure_of_shares():
    counts = [RoiCount(0, 5, 2, 16, 4), RoiCount(0, 6, 0, 16, 0), RoiCount(1, 7, 1, 10, 1)]
    left, right = share_figure(counts, 0.25).axes
    assert left.patches[0].get_data().values.sum() == 3
    assert [line.get_xdata()[0] for line in left.lines] == [pytest.approx((0.25 + 0 + 0.1) / 3), 0.25]
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[2, 25], [0, 0], [1, 10]])
