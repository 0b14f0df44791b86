"""Targets of anchors: those of the functions that training calls, and the refined anchors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import inspected
from small import CONFIG, OBJECTS, SIDE, build, change, truth

from maskrcnn_jax.config import Config
from maskrcnn_jax.inspect.data.anchor_steps import (
    OTHERS,
    anchor_figure,
    anchor_table,
    assignment_table,
    object_anchor_table,
    other_anchor_figure,
    positive_anchor_figure,
)
from maskrcnn_jax.inspect.data.anchor_targets import AnchorTargets, Pyramid, anchor_targets, build_pyramid, nearest
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.model.stages import sample_anchors
from maskrcnn_jax.ops.boxes import iou
from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.structs import Batch, GroundTruth

NAMES = ("cat", "dog", "owl")
IMAGE = np.zeros((SIDE, SIDE, 3), np.uint8)
SAMPLE = Batch(IMAGE, np.full(2, SIDE, np.float32), np.int32(7), truth())
KEY = jax.random.key(0)
POSITIVE, NEGATIVE, IGNORE = Assignment.POSITIVE, Assignment.NEGATIVE, Assignment.IGNORE


def host(ground_truth: GroundTruth) -> GroundTruth:
    return jax.device_get(ground_truth)


@pytest.fixture(scope="module")
def pyramid() -> Pyramid:
    return build_pyramid(CONFIG, (SIDE, SIDE))


@pytest.fixture(scope="module")
def targets(pyramid: Pyramid) -> AnchorTargets:
    return anchor_targets(KEY, pyramid.anchors, host(truth(*OBJECTS[:3])), CONFIG)


def test_anchors_are_those_of_the_forward_pass():
    model = change(CONFIG.model, inclusive_boxes=True)
    image = jnp.zeros((1, SIDE, SIDE, 3), jnp.uint8)
    anchors = jax.jit(lambda m, x: forward(m, x, jnp.full((1, 2), float(SIDE))).anchors)(build(model), image)
    found = build_pyramid(Config(model=model), (SIDE, SIDE))
    np.testing.assert_array_equal(found.anchors, anchors)
    # strides 4, 8, 16, 32, and every second cell of the last
    assert found.cells == ((16, 16), (8, 8), (4, 4), (2, 2), (1, 1))
    assert found.counts == (768, 192, 48, 12, 3)
    assert np.bincount(found.levels()).tolist() == [768, 192, 48, 12, 3]


def test_table_of_anchors(pyramid: Pyramid):
    entries = anchor_table(inspected(pyramid=pyramid)).entries
    # 16 pixels: 16 / √½ = 22.6 wide and 16 · √½ = 11.3 high
    assert entries[1] == ("P3", "8 × 8", 8, 16, "11 × 23, 16 × 16, 23 × 11", 192)
    assert [row[2] for row in entries] == [4, 8, 16, 32, None]  # a single cell has no stride


def test_the_sample_is_that_of_training(pyramid: Pyramid, targets: AnchorTargets):
    """Slots without an object, which the targets leave out, and a place for every anchor change nothing."""
    weights = CONFIG.model.rpn.proposals.box_weights
    ask = jax.jit(sample_anchors, static_argnums=(3, 4))
    sample = ask(KEY, pyramid.anchors, truth(*OBJECTS[:3]), CONFIG.sampling.anchors, weights)
    chosen = np.asarray(sample.index[sample.valid])
    assert sorted(targets.sampled) == sorted(chosen) and len(set(chosen)) == CONFIG.sampling.anchors.count
    positive = np.asarray(sample.index[sample.positive])
    assert sorted(targets.which(POSITIVE, sampled=True)) == sorted(positive) and len(positive)
    assert sorted(targets.which(NEGATIVE, sampled=True)) == sorted(set(chosen) - set(positive))
    assert not len(targets.which(IGNORE, sampled=True))


def test_anchors_are_assigned_by_their_overlap(pyramid: Pyramid, targets: AnchorTargets):
    boxes = jnp.array([box for box, _ in OBJECTS[:3]])
    overlaps = np.asarray(iou(boxes, jnp.asarray(pyramid.anchors)))
    best = overlaps.max(axis=0)
    # at least 0.7, or the best of an object: positive; below 0.3 and not positive: negative
    positive = (best >= 0.7) | (overlaps == overlaps.max(axis=1, keepdims=True)).any(axis=0)
    np.testing.assert_array_equal(targets.assignment == POSITIVE, positive)
    np.testing.assert_array_equal(targets.assignment == NEGATIVE, (best < 0.3) & ~positive)
    np.testing.assert_allclose(targets.overlaps[:3], overlaps.max(axis=1))
    assert targets.overlaps[3:].tolist() == [0]


def test_positive_anchors_land_on_their_object(pyramid: Pyramid, targets: AnchorTargets):
    positive = targets.which(POSITIVE, sampled=False)
    slots, distances = nearest(targets.refined[positive], host(truth(*OBJECTS[:3])))
    assert distances.max() < 1e-4
    overlaps = iou(jnp.array([box for box, _ in OBJECTS[:3]]), jnp.asarray(pyramid.anchors[positive]))
    np.testing.assert_array_equal(slots, jnp.argmax(overlaps, axis=0))
    assert not np.allclose(pyramid.anchors[positive], targets.refined[positive])


def test_nearest_by_hand():
    objects = host(truth(([0.0, 0.0, 10.0, 10.0], 0), ([20.0, 20.0, 40.0, 40.0], 1)))
    boxes = np.array([[1, 2, 10, 10], [19, 20, 40, 43]], np.float32)
    slots, distances = nearest(boxes, objects)
    assert slots.tolist() == [0, 1] and distances.tolist() == [2, 3]
    crowd = objects._replace(is_crowd=np.array([True, False, False, False]))
    assert nearest(boxes, crowd)[0].tolist() == [1, 1]


def test_without_objects_everything_is_negative(pyramid: Pyramid):
    nothing = host(truth())
    targets = anchor_targets(KEY, pyramid.anchors, nothing, CONFIG)
    assert (targets.assignment == NEGATIVE).all() and len(targets.sampled) == CONFIG.sampling.anchors.count
    figure = positive_anchor_figure(IMAGE, pyramid, targets, nothing, NAMES)
    assert not figure.axes[0].collections
    assert object_anchor_table(inspected(anchor_targets=targets, objects=nothing)).entries == []


def test_tables_add_up(pyramid: Pyramid, targets: AnchorTargets):
    entries = assignment_table(pyramid, targets).entries
    *levels, everything = [row[1:] for row in entries]
    assert np.sum(levels, axis=0).tolist() == list(everything)
    assert [sum(row[:3]) for row in levels] == list(pyramid.counts)
    assert sum(everything[3:]) == CONFIG.sampling.anchors.count


def test_objects_and_their_anchors(targets: AnchorTargets):
    objects = host(truth(*OBJECTS[:3]))
    crowd = objects._replace(is_crowd=np.array([False, False, True, False]))
    by_hand = targets._replace(overlaps=np.float32([0.75, 0.5, 0.1, 0]))
    table = object_anchor_table(inspected(anchor_targets=by_hand, objects=crowd))
    assert [row[:3] for row in table.entries] == [
        ("cat", "22 × 26", 0.75),
        ("dog", "36 × 30", 0.5),
        ("owl (crowd)", "24 × 18", pytest.approx(0.1)),
    ]
    assert table.marked == [1]  # the crowd is not to be found
    whole = object_anchor_table(inspected(anchor_targets=targets, objects=objects))
    assert sum(row[3] for row in whole.entries) == len(targets.which(POSITIVE, sampled=False))


def test_anchors_of_the_middle(pyramid: Pyramid):
    figure = anchor_figure(inspected(sample=SAMPLE, pyramid=pyramid))
    axes = figure.axes[0]
    assert len(axes.collections) == 5 and all(len(boxes.get_paths()) == 3 for boxes in axes.collections)
    centres = [np.mean(path.vertices[:4], axis=0) for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose(centres, [[32, 32]] * 3, rtol=1e-6)  # cell 8 of 16 at stride 4
    shades = axes.collections[0].get_edgecolor()[:, 0]
    assert (np.diff(shades) > 0).all()
    # the largest anchor, 48 · √2 = 68 pixels around the corner of the image, is seen in full
    reach = np.abs(np.concatenate([path.vertices for path in axes.collections[4].get_paths()])).max()
    assert axes.get_xlim()[0] < -reach / 2 and axes.get_ylim()[1] < -reach / 2


def test_positive_anchors_and_where_they_lead(pyramid: Pyramid, targets: AnchorTargets):
    figure = positive_anchor_figure(IMAGE, pyramid, targets, host(truth(*OBJECTS[:3])), NAMES)
    dashed, full, lines = figure.axes[0].collections
    count = len(targets.which(POSITIVE, sampled=True))
    assert len(dashed.get_paths()) == len(full.get_paths()) == len(lines.get_paths()) == count
    ends = {tuple(np.round(path.vertices[0], 3).tolist()) for path in full.get_paths()}
    assert ends <= {tuple(box[:2]) for box, _ in OBJECTS[:3]}


def test_other_anchors(pyramid: Pyramid, targets: AnchorTargets):
    figure = other_anchor_figure(inspected(sample=SAMPLE, pyramid=pyramid, anchor_targets=targets))
    for axes, which in zip(
        figure.axes, (targets.which(NEGATIVE, sampled=True), targets.which(IGNORE, sampled=False)), strict=True
    ):
        paths = axes.collections[0].get_paths()
        drawn = {(*path.vertices[0].tolist(), *path.vertices[2].tolist()) for path in paths}
        assert drawn <= {tuple(box) for box in pyramid.anchors[which].tolist()}
        assert len(drawn) == len(paths) == min(OTHERS, len(which)) > 0
