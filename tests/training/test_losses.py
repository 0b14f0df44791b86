"""Losses by hand: element-wise values, who takes part, and by how much sums are divided."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CONFIG, SLOTS, abstract, change

from maskrcnn_jax.config import BoxRegression, Classification, Mask, RPNBox, RPNObjectness, SamplingConfig
from maskrcnn_jax.extension import Loss
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.structs import AnchorTargets, Batch, BoxOutput, GroundTruth, HeadOutput, Rois, RPNOutput, Trace
from maskrcnn_jax.training.losses import smooth_l1

LOG2, LOG3 = np.log(2.0), np.log(3.0)
COUNT = SamplingConfig().anchors.count
"""Anchors asked for per image."""
WEIGHTS = CONFIG.model.box_head.box_weights


def trace(**fields) -> Trace:
    return Trace(**dict.fromkeys(Trace._fields) | {"heads": {}} | fields)


def model(classes: int) -> MaskRCNN:
    return abstract(change(CONFIG.model, num_classes=classes))


def batch(boxes: Any = None, masks: Any = None) -> Batch:
    """Images of which the losses read the objects alone: their boxes, and their masks over their boxes."""
    boxes = jnp.zeros((1, SLOTS, 4)) if boxes is None else boxes
    flags = jnp.ones(boxes.shape[:2], bool)
    masks = jnp.zeros((*boxes.shape[:2], 16, 16), jnp.uint8) if masks is None else masks
    truth = GroundTruth(boxes, jnp.zeros(boxes.shape[:2], jnp.int32), ~flags, flags, masks, boxes)
    return Batch(*dict.fromkeys(Batch._fields))._replace(ground_truth=truth)


def compute(loss: Loss, seen: Trace, objects: Batch | None = None, classes: int = 2) -> jax.Array:
    return loss(model(classes), seen, batch() if objects is None else objects, jax.random.key(0))


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        # |e| alone.
        (0.0, [0.0, 0.05, 0.5, 2.0]),
        # Below 1/9: e² · 9 / 2 = 0.0025 · 4.5; above: |e| − 1/18.
        (1 / 9, [0.0, 0.01125, 0.5 - 1 / 18, 2.0 - 1 / 18]),
        # Below 1: e² / 2; above: |e| − 1/2.
        (1.0, [0.0, 0.00125, 0.125, 1.5]),
    ],
)
def test_smooth_l1(beta, expected):
    error = jnp.array([0.0, 0.05, -0.5, 2.0])
    np.testing.assert_allclose(smooth_l1(error, beta), expected, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1 / 9, 1.0])
def test_slope_of_smooth_l1(beta):
    """e / β inside, the sign outside, continuous at the corner."""
    slope = jax.vmap(jax.grad(lambda e: smooth_l1(e, beta)))(jnp.array([-2.0, 0.05, 2.0]))
    np.testing.assert_allclose(slope, [-1.0, 1.0 if beta == 0 else 0.05 / beta, 1.0], rtol=1e-6)
    if beta:
        np.testing.assert_allclose(smooth_l1(jnp.array([beta]), beta), [beta / 2], rtol=1e-6)


def rpn_example() -> Trace:
    """Two images of three anchors; two slots are used of each, of which the second image's last is empty."""
    logits = jnp.array([[0.0, LOG3, 5.0], [0.0, 9.0, 9.0]])
    deltas = jnp.zeros((2, 3, 4)).at[0, 1].set(jnp.array([0.5, 0.0, 0.0, -2.0])).at[1].set(7.0)
    slots = (2, COUNT)
    targets = AnchorTargets(
        index=jnp.zeros(slots, int).at[:, :2].set(jnp.array([[1, 0], [0, 2]])),
        positive=jnp.zeros(slots, bool).at[0, 0].set(True),
        valid=jnp.zeros(slots, bool).at[:, :2].set(jnp.array([[True, True], [True, False]])),
        deltas=jnp.zeros((*slots, 4)).at[0, 0, 2].set(1.0).at[1, 1].set(1e30),
    )
    return trace(rpn=RPNOutput(logits, deltas), anchor_targets=targets)


def test_objectness_and_its_normalisers():
    # Positive at logit log 3: −log σ = −log 3/4 = log 4/3. Negatives at 0: log 2 each, one per image.
    total = np.log(4 / 3) + 2 * LOG2
    sampled = compute(RPNObjectness(normalizer="sampled"), rpn_example())
    np.testing.assert_allclose(sampled, total / 3, rtol=1e-6)  # three slots hold an anchor
    counted = compute(RPNObjectness(normalizer="count"), rpn_example())
    np.testing.assert_allclose(counted, total / (256 * 2), rtol=1e-6)  # slots asked for × images


@pytest.mark.parametrize(
    ("beta", "total"),
    [
        # Errors of the only positive: 0.5, 0, −1, −2.
        (0.0, 0.5 + 1 + 2),
        # |e| − 1/18 each, but 0 at 0.
        (1 / 9, 3.5 - 3 / 18),
        # 0.5² / 2, then 1 − 1/2 and 2 − 1/2.
        (1.0, 0.125 + 0.5 + 1.5),
    ],
)
def test_rpn_boxes_of_positives_only(beta, total):
    box = compute(RPNBox(beta=beta, normalizer="sampled"), rpn_example())
    np.testing.assert_allclose(box, total / 3, rtol=1e-6)
    counted = compute(RPNBox(beta=beta, normalizer="count"), rpn_example())
    np.testing.assert_allclose(counted, total / (256 * 2), rtol=1e-6)


def test_rpn_boxes_as_a_mean_over_positive_coordinates():
    # Errors 0.5, 0, −1, −2 of the only positive anchor, over its four coordinates.
    box = compute(RPNBox(normalizer="positive"), rpn_example())
    np.testing.assert_allclose(box, 3.5 / 4, rtol=1e-6)


@pytest.mark.parametrize("loss", [RPNObjectness(), RPNBox()])
def test_losses_of_anchors_need_the_forward_pass_of_training(loss):
    with pytest.raises(ValueError, match="anchor_targets is None: losses need the forward pass of training"):
        compute(loss, trace())


UNIT = jnp.array([0.0, 0.0, 10.0, 10.0])


def rois(labels, valid=None) -> Rois:
    """Each is the box of ten by ten pixels at the origin, matched with the object of its own index."""
    labels = jnp.asarray(labels)
    valid = jnp.ones(labels.shape, bool) if valid is None else jnp.asarray(valid)
    matched = jnp.broadcast_to(jnp.arange(labels.shape[1]), labels.shape)
    return Rois(jnp.broadcast_to(UNIT, (*labels.shape, 4)), valid, labels, matched)


def objects_at(deltas) -> Batch:
    """Objects whose targets, seen from the RoIs of `rois`, are these deltas `[b, n, 4]`."""
    flat = jnp.reshape(deltas, (-1, 4))
    boxes = box_ops.decode(flat, jnp.broadcast_to(UNIT, flat.shape), WEIGHTS, None)
    return batch(boxes.reshape(deltas.shape))


def test_class_loss_is_the_mean_over_sampled_rois():
    # Two classes and background. Softmax of (log 2, 0, 0) is (1/2, 1/4, 1/4).
    logits = jnp.broadcast_to(jnp.array([LOG2, 0.0, 0.0]), (2, 2, 3))
    box = BoxOutput(logits, jnp.zeros((2, 2, 2, 4)))
    # Right class 0: log 2; background: log 4; class 1: log 4; the last slot is empty.
    chosen = rois([[0, 2], [1, 0]], [[True, True], [True, False]])
    classification = compute(Classification(), trace(rois=chosen, box=box))
    np.testing.assert_allclose(classification, (LOG2 + 2 * 2 * LOG2) / 3, rtol=1e-6)


def test_box_loss_takes_the_deltas_of_the_own_class():
    # The deltas of class c are c + 1 everywhere; the target is 0.5 everywhere.
    deltas = jnp.broadcast_to(jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1), (1, 4, 2, 4))
    box = BoxOutput(jnp.zeros((1, 4, 3)), deltas)
    # Class 1: |2 − 0.5| · 4 = 6; class 0: |1 − 0.5| · 4 = 2; background and the empty slot: nothing. Three sampled.
    seen = trace(rois=rois([[1, 0, 2, 1]], [[True, True, True, False]]), box=box)
    objects = objects_at(jnp.full((1, 4, 4), 0.5))
    np.testing.assert_allclose(compute(BoxRegression(), seen, objects), (6 + 2) / 3, rtol=1e-5)
    # β = 1: the error of 1.5 costs 1, that of 0.5 costs 0.125.
    loss = compute(BoxRegression(beta=1.0), seen, objects)
    np.testing.assert_allclose(loss, (4 * 1.0 + 4 * 0.125) / 3, rtol=1e-5)
    # Mean over the two foreground rois' coordinates.
    loss = compute(BoxRegression(normalizer="positive"), seen, objects)
    np.testing.assert_allclose(loss, (6 + 2) / (4 * 2), rtol=1e-5)


def test_box_loss_of_a_class_agnostic_head():
    """Classes are counted from the configuration: the only box stands for each of them."""
    # Deltas 1, targets 0.5: 4 · 0.5 for each of the two foreground rois of three sampled.
    box = BoxOutput(jnp.zeros((1, 3, 3)), jnp.ones((1, 3, 1, 4)))
    seen = trace(rois=rois([[1, 0, 2]]), box=box)
    loss = compute(BoxRegression(), seen, objects_at(jnp.full((1, 3, 4), 0.5)))
    np.testing.assert_allclose(loss, (2 + 2) / 3, rtol=1e-5)


def masks_of(logits, labels, valid=None) -> Trace:
    chosen = rois(labels, valid)
    return trace(heads={"mask": HeadOutput(chosen, jnp.zeros_like(chosen.labels), None, logits)})


def covered(targets) -> Batch:
    """Objects at the RoIs of `rois`, whose masks show these targets `[b, n, 2, 2]` in their quarters."""
    masks = jnp.repeat(jnp.repeat(targets.astype(jnp.uint8), 8, axis=2), 8, axis=3)
    return batch(jnp.broadcast_to(UNIT, (*targets.shape[:2], 4)), masks)


def test_mask_loss_takes_the_mask_of_the_own_class():
    # Logits of class 0 are 0, of class 1 log 3: probability 1/2 and 3/4.
    logits = jnp.broadcast_to(jnp.array([0.0, LOG3]).reshape(1, 1, 1, 1, 2), (2, 2, 2, 2, 2))
    # Roi 0: class 1 everywhere covered: log 4/3. Roi 1: class 0: log 2. Roi 2: class 1, half covered:
    # (log 4/3 + log 4) / 2. Roi 3 is background.
    objects = covered(jnp.ones((2, 2, 2, 2)).at[1, 0, 0].set(0.0))
    loss = compute(Mask(), masks_of(logits, [[1, 0], [1, 2]]), objects)
    per_roi = [np.log(4 / 3), LOG2, (np.log(4 / 3) + np.log(4)) / 2]
    np.testing.assert_allclose(loss, np.mean(per_roi), rtol=1e-6)
    # An empty slot counts as little as background.
    loss = compute(Mask(), masks_of(logits, [[1, 0], [1, 2]], [[True, False], [False, True]]), objects)
    np.testing.assert_allclose(loss, np.log(4 / 3), rtol=1e-6)


def test_soft_mask_targets(monkeypatch):
    # Cross-entropy of target 1/4 at probability 3/4: −(1/4 log 3/4 + 3/4 log 1/4).
    seen = masks_of(jnp.full((1, 1, 2, 2, 1), LOG3), [[0]])
    monkeypatch.setattr(Mask, "targets", lambda self, trace, batch: jnp.full((1, 1, 2, 2), 0.25))
    loss = compute(Mask(binary_targets=False), seen, classes=1)
    np.testing.assert_allclose(loss, -(0.25 * np.log(0.75) + 0.75 * np.log(0.25)), rtol=1e-6)


def test_without_mask_head_there_is_no_mask_loss():
    assert float(compute(Mask(), trace())) == 0


LOSSES = (RPNObjectness(), RPNBox(), Classification(), BoxRegression(), Mask())
OTHERS = (
    RPNObjectness(normalizer="sampled"),
    RPNBox(beta=1 / 9, normalizer="positive"),
    Classification(),
    BoxRegression(beta=1.0, normalizer="positive"),
    Mask(),
)


@pytest.mark.parametrize("losses", [LOSSES, OTHERS], ids=["Detectron2", "others"])
def test_no_objects(losses):
    """Where nothing is chosen, losses and gradients are exactly 0, whatever the padding says."""
    far = 1e20  # its square overflows float32

    def compute_all(logits, deltas, class_logits, class_deltas, mask_logits):
        nothing = AnchorTargets(jnp.zeros((1, 2), int), *jnp.zeros((2, 1, 2), bool), jnp.full((1, 2, 4), far))
        seen = masks_of(mask_logits, [[0, 1]], [[False, False]])._replace(
            rpn=RPNOutput(logits, deltas),
            anchor_targets=nothing,
            rois=rois([[0, 1]], [[False, False]]),
            box=BoxOutput(class_logits, class_deltas),
        )
        objects = covered(jnp.ones((1, 2, 2, 2)))
        truth = objects.ground_truth._replace(boxes=jnp.array([[[0, 0, far, far]] * 2]))
        return jnp.stack([compute(loss, seen, objects._replace(ground_truth=truth)) for loss in losses])

    arguments = [jnp.ones(s) for s in ((1, 3), (1, 3, 4), (1, 2, 3), (1, 2, 2, 4), (1, 2, 2, 2, 2))]
    np.testing.assert_array_equal(compute_all(*arguments), np.zeros(5))
    for gradient in jax.jacrev(compute_all, argnums=(0, 1, 2, 3, 4))(*arguments):
        assert not np.any(gradient)
