"""The (roi, class) pairs that class-wise suppression chooses the detections from."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from maskrcnn_jax import stages
from maskrcnn_jax.model import MaskRCNN
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.structs import Array, BoxOutput, Rois, Trace


class Pairs(NamedTuple):
    """Rois with a class each whose score passes the threshold, best first."""

    roi: Array
    """`[B, K]` int32: which roi."""
    boxes: Array
    """`[B, K, 4]` float32, pixels: the roi with the delta of the class applied, clipped to the picture."""
    scores: Array
    """`[B, K]` float32 in `[0, 1]`: probability of the class."""
    labels: Array
    """`[B, K]` int32 in `[0, C)`."""
    valid: Array
    """`[B, K]` bool."""
    keep: Array
    """`[B, K]` bool: the pair survives suppression; the first of these are the detections."""


def class_pairs(model: MaskRCNN, trace: Trace, windows: Float[Array, "b 4"]) -> Pairs:
    """What `stages.detect` suppresses and what it keeps, from a trace of the same model.

    Args:
        model: the network; its own `nms` decides.
        trace: from `forward`.
        windows: the parts of the inputs that are picture; see `model.picture_windows`.
    """
    config = model.config
    rois, classes = trace.rois.valid.shape[1], config.num_classes
    # As many detections as there may be pairs, none of them suppressed: the pairs.
    detect = dataclasses.replace(config.detect, count=min(config.detect.top_k, rois * classes))

    def one(rois: Rois, box: BoxOutput, region: Array) -> Pairs:
        weights, cap = config.box_head.box_weights, config.rpn.proposals.max_log_scale
        found = stages.detect(rois, box, region, weights, cap, detect, nms=lambda boxes, valid, *_: valid)
        keep = model.nms(found.boxes, found.valid, config.detect.nms_iou, found.labels)
        scores = jnp.where(rois.valid[:, None], jax.nn.softmax(box.logits)[:, :classes], -1.0)
        roi = jnp.argmin(jnp.abs(scores[:, found.labels] - found.scores[None]), axis=0)
        return Pairs(roi.astype(jnp.int32), found.boxes, found.scores, found.labels, found.valid, keep)

    pictures = box_ops.shorten(windows, float(config.inclusive_boxes))
    return jax.vmap(one)(trace.rois, trace.box, pictures)
