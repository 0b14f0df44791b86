"""The five losses of Mask R-CNN and how each is normalised over the batch."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from maskrcnn_jax.config import LossConfig
from maskrcnn_jax.structs import Rois, Trace
from maskrcnn_jax.training.targets import RPNTargets


class Losses(NamedTuple):
    """One number each, unweighted."""

    rpn_objectness: Array
    rpn_box: Array
    classification: Array
    box: Array
    mask: Array
    """0 in a model without mask head."""


def smooth_l1(error: Float[Array, "*n"], beta: float) -> Float[Array, "*n"]:
    """Element-wise `|e|`, with the corner at zero rounded: `e² / 2β` below `β` and `|e| − β/2` above.

    Source: Fast R-CNN, equation 3, where β is 1; β = 0 is plain L1.
    """
    size = jnp.abs(error)
    if beta == 0:
        return size
    return jnp.where(size < beta, 0.5 * size**2 / beta, size - 0.5 * beta)


def _mean(values: Array, where: Array, total: Array | float) -> Array:
    """Sum of the chosen values over a total; exactly 0, with zero gradient, if nothing is chosen."""
    return jnp.sum(jnp.where(where, values, 0.0)) / jnp.maximum(total, 1.0)


def rpn_losses(trace: Trace, targets: RPNTargets, config: LossConfig) -> tuple[Array, Array]:
    """Binary cross-entropy of objectness, and smooth L1 of the positive anchors' deltas.

    Both are sums over the batch divided by one total: all sampled anchors, or the number of slots. With
    `config.box_normalizer` "positive" the second is the mean over the coordinates of the positive anchors.

    Source: Faster R-CNN, equation 1; normalisers of torchvision ("sampled"), Detectron2 ("count") and, of boxes,
    Matterport ("positive").
    """
    logits = jnp.take_along_axis(trace.rpn.logits, targets.index, axis=1)
    deltas = jnp.take_along_axis(trace.rpn.deltas, targets.index[..., None], axis=1)
    sampled = jnp.sum(targets.valid)
    total = sampled if config.rpn_normalizer == "sampled" else config.rpn_match.count * logits.shape[0]
    objectness = optax.sigmoid_binary_cross_entropy(logits, targets.positive.astype(jnp.float32))
    box = smooth_l1(deltas - targets.deltas, config.rpn_beta).sum(axis=-1)
    positive = targets.positive & targets.valid
    box_total = 4 * jnp.sum(positive) if config.box_normalizer == "positive" else total
    return _mean(objectness, targets.valid, total), _mean(box, positive, box_total)


def box_losses(trace: Trace, box_targets: Float[Array, "b n 4"], config: LossConfig) -> tuple[Array, Array]:
    """Cross-entropy over the classes, and smooth L1 of the foreground rois' deltas of their own class.

    Both are sums over the batch divided by the number of sampled rois. With `config.box_normalizer` "positive" the
    second is the mean over the coordinates of the foreground rois.

    Source: Fast R-CNN, equation 1; normalisers of Detectron2 and torchvision, and Matterport's ("positive").
    """
    rois, (logits, deltas) = trace.rois, trace.box
    classes = deltas.shape[-2]
    sampled = jnp.sum(rois.valid)
    classification = optax.softmax_cross_entropy_with_integer_labels(logits, rois.labels)
    foreground = rois.valid & (rois.labels < classes)
    own = jnp.where(foreground, rois.labels, 0)
    own_deltas = jnp.take_along_axis(deltas, own[..., None, None], axis=2)[..., 0, :]
    box = smooth_l1(own_deltas - box_targets, config.box_beta).sum(axis=-1)
    box_total = 4 * jnp.sum(foreground) if config.box_normalizer == "positive" else sampled
    return _mean(classification, rois.valid, sampled), _mean(box, foreground, box_total)


def mask_loss(mask_logits: Float[Array, "b r m m c"], rois: Rois, targets: Float[Array, "b r m m"]) -> Array:
    """Binary cross-entropy of each foreground roi's mask of its own class, mean over rois and pixels.

    Source: Mask R-CNN, section 3.
    """
    classes = mask_logits.shape[-1]
    foreground = rois.valid & (rois.labels < classes)
    own = jnp.where(foreground, rois.labels, 0)
    own_logits = jnp.take_along_axis(mask_logits, own[..., None, None, None], axis=-1)[..., 0]
    per_roi = jnp.mean(optax.sigmoid_binary_cross_entropy(own_logits, targets), axis=(-2, -1))
    return _mean(per_roi, foreground, jnp.sum(foreground))
