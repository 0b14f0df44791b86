"""Losses by hand: element-wise values, who takes part, and by how much sums are divided."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import change

from maskrcnn_jax.config import LossConfig
from maskrcnn_jax.structs import BoxOutput, Rois, RPNOutput, Trace
from maskrcnn_jax.training.losses import box_losses, mask_loss, rpn_losses, smooth_l1
from maskrcnn_jax.training.targets import RPNTargets

LOG2, LOG3 = np.log(2.0), np.log(3.0)
CONFIG = LossConfig()


def trace(**fields) -> Trace:
    return Trace(**dict.fromkeys(Trace._fields) | fields)


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


def rpn_example():
    """Two images of three anchors; two slots each, of which the second image's last is empty."""
    logits = jnp.array([[0.0, LOG3, 5.0], [0.0, 9.0, 9.0]])
    deltas = jnp.zeros((2, 3, 4)).at[0, 1].set(jnp.array([0.5, 0.0, 0.0, -2.0])).at[1].set(7.0)
    targets = RPNTargets(
        index=jnp.array([[1, 0], [0, 2]]),
        positive=jnp.array([[True, False], [False, False]]),
        valid=jnp.array([[True, True], [True, False]]),
        deltas=jnp.zeros((2, 2, 4)).at[0, 0, 2].set(1.0).at[1, 1].set(1e30),
    )
    return trace(rpn=RPNOutput(logits, deltas)), targets


def test_objectness_and_its_normalisers():
    # Positive at logit log 3: −log σ = −log 3/4 = log 4/3. Negatives at 0: log 2 each, one per image.
    total = np.log(4 / 3) + 2 * LOG2
    sampled, _ = rpn_losses(*rpn_example(), change(CONFIG, rpn_normalizer="sampled"))
    np.testing.assert_allclose(sampled, total / 3, rtol=1e-6)  # three slots hold an anchor
    counted, _ = rpn_losses(*rpn_example(), change(CONFIG, rpn_normalizer="count"))
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
    config = change(CONFIG, rpn_normalizer="sampled", rpn_beta=beta)
    _, box = rpn_losses(*rpn_example(), config)
    np.testing.assert_allclose(box, total / 3, rtol=1e-6)


def test_rpn_boxes_as_a_mean_over_positive_coordinates():
    # Errors 0.5, 0, −1, −2 of the only positive anchor, over its four coordinates.
    _, box = rpn_losses(*rpn_example(), change(CONFIG, box_normalizer="positive"))
    np.testing.assert_allclose(box, 3.5 / 4, rtol=1e-6)


def rois(labels, valid=None) -> Rois:
    labels = jnp.asarray(labels)
    valid = jnp.ones(labels.shape, bool) if valid is None else jnp.asarray(valid)
    return Rois(jnp.zeros((*labels.shape, 4)), valid, labels, jnp.zeros_like(labels))


def test_class_loss_is_the_mean_over_sampled_rois():
    # Two classes and background. Softmax of (log 2, 0, 0) is (1/2, 1/4, 1/4).
    logits = jnp.broadcast_to(jnp.array([LOG2, 0.0, 0.0]), (2, 2, 3))
    box = BoxOutput(logits, jnp.zeros((2, 2, 2, 4)))
    # Right class 0: log 2; background: log 4; class 1: log 4; the last slot is empty.
    chosen = rois([[0, 2], [1, 0]], [[True, True], [True, False]])
    classification, _ = box_losses(trace(rois=chosen, box=box), jnp.zeros((2, 2, 4)), CONFIG)
    np.testing.assert_allclose(classification, (LOG2 + 2 * 2 * LOG2) / 3, rtol=1e-6)


def test_box_loss_takes_the_deltas_of_the_own_class():
    # The deltas of class c are c + 1 everywhere; the target is 0.5 everywhere.
    deltas = jnp.broadcast_to(jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1), (1, 4, 2, 4))
    box = BoxOutput(jnp.zeros((1, 4, 3)), deltas)
    # Class 1: |2 − 0.5| · 4 = 6; class 0: |1 − 0.5| · 4 = 2; background and the empty slot: nothing. Three sampled.
    chosen = rois([[1, 0, 2, 1]], [[True, True, True, False]])
    _, loss = box_losses(trace(rois=chosen, box=box), jnp.full((1, 4, 4), 0.5), CONFIG)
    np.testing.assert_allclose(loss, (6 + 2) / 3, rtol=1e-6)
    # β = 1: the error of 1.5 costs 1, that of 0.5 costs 0.125.
    _, loss = box_losses(trace(rois=chosen, box=box), jnp.full((1, 4, 4), 0.5), change(CONFIG, box_beta=1.0))
    np.testing.assert_allclose(loss, (4 * 1.0 + 4 * 0.125) / 3, rtol=1e-6)
    # Mean over the two foreground rois' coordinates.
    config = change(CONFIG, box_normalizer="positive")
    _, loss = box_losses(trace(rois=chosen, box=box), jnp.full((1, 4, 4), 0.5), config)
    np.testing.assert_allclose(loss, (6 + 2) / (4 * 2), rtol=1e-6)


def test_mask_loss_takes_the_mask_of_the_own_class():
    # Logits of class 0 are 0, of class 1 log 3: probability 1/2 and 3/4.
    logits = jnp.broadcast_to(jnp.array([0.0, LOG3]).reshape(1, 1, 1, 1, 2), (2, 2, 2, 2, 2))
    # Roi 0: class 1 everywhere covered: log 4/3. Roi 1: class 0: log 2. Roi 2: class 1, half covered:
    # (log 4/3 + log 4) / 2. Roi 3 is background.
    targets = jnp.ones((2, 2, 2, 2)).at[1, 0, 0].set(0.0)
    loss = mask_loss(logits, rois([[1, 0], [1, 2]]), targets)
    per_roi = [np.log(4 / 3), LOG2, (np.log(4 / 3) + np.log(4)) / 2]
    np.testing.assert_allclose(loss, np.mean(per_roi), rtol=1e-6)
    # An empty slot counts as little as background.
    loss = mask_loss(logits, rois([[1, 0], [1, 2]], [[True, False], [False, True]]), targets)
    np.testing.assert_allclose(loss, np.log(4 / 3), rtol=1e-6)


def test_soft_mask_targets():
    # Cross-entropy of target 1/4 at probability 3/4: −(1/4 log 3/4 + 3/4 log 1/4).
    loss = mask_loss(jnp.full((1, 1, 2, 2, 1), LOG3), rois([[0]]), jnp.full((1, 1, 2, 2), 0.25))
    np.testing.assert_allclose(loss, -(0.25 * np.log(0.75) + 0.75 * np.log(0.25)), rtol=1e-6)


@pytest.mark.parametrize(
    "config", [CONFIG, LossConfig(rpn_beta=1 / 9, box_beta=1.0, rpn_normalizer="sampled", box_normalizer="positive")]
)
def test_nothing_to_learn_from(config):
    """Where nothing is chosen, losses and gradients are exactly 0, whatever the padding says."""
    far = 1e20  # its square overflows float32

    def losses(logits, deltas, class_logits, class_deltas, mask_logits):
        nobody = RPNTargets(jnp.zeros((1, 2), int), *jnp.zeros((2, 1, 2), bool), jnp.full((1, 2, 4), far))
        empty = rois([[0, 1]], [[False, False]])
        seen = trace(rpn=RPNOutput(logits, deltas), rois=empty, box=BoxOutput(class_logits, class_deltas))
        mask = mask_loss(mask_logits, empty, jnp.ones((1, 2, 2, 2)))
        return jnp.stack([*rpn_losses(seen, nobody, config), *box_losses(seen, jnp.full((1, 2, 4), far), config), mask])

    arguments = [jnp.ones(s) for s in ((1, 3), (1, 3, 4), (1, 2, 3), (1, 2, 2, 4), (1, 2, 2, 2, 2))]
    np.testing.assert_array_equal(losses(*arguments), np.zeros(5))
    for gradient in jax.jacrev(losses, argnums=(0, 1, 2, 3, 4))(*arguments):
        assert not np.any(gradient)
