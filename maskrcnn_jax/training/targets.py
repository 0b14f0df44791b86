"""What the heads should have said, for one image."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.config import MatchConfig
from maskrcnn_jax.model.stages import match_ground_truth
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.masks import crop_masks
from maskrcnn_jax.ops.sampling import sample
from maskrcnn_jax.structs import GroundTruth, Rois


class RPNTargets(NamedTuple):
    """Sampled anchors and their answers."""

    index: Int[Array, "*b s"]  # type: ignore[assignment]  # hides tuple.index, which has no use here
    """Which anchor each slot holds."""
    positive: Bool[Array, "*b s"]
    """The anchor stands for an object."""
    valid: Bool[Array, "*b s"]
    """The slot holds an anchor."""
    deltas: Float[Array, "*b s 4"]
    """Encoded box of the matched object; meaningful where positive."""


def rpn_targets(
    key: Array,
    anchors: Float[Array, "a 4"],
    ground_truth: GroundTruth,
    config: MatchConfig,
    box_weights: box_ops.Weights,
) -> RPNTargets:
    """Matches anchors with objects and draws a fixed number of them.

    Args:
        key: random key; it is consumed.
        anchors: `[a, 4]` pixels; those that leave the image take part.
        ground_truth: of one image; crowds are never matched, but may keep what they cover from being background.
        config: thresholds, number and share of positives.
        box_weights: of the box coder.

    Returns:
        RPNTargets of `config.count` slots. Without objects all are negative.

    Source: Faster R-CNN, section 3.1.2–3; numbers of Detectron2 `RPN.label_and_sample_anchors`.
    """
    matches = match_ground_truth(anchors, ground_truth, config)
    chosen = sample(key, matches.assignment, config.count, config.foreground_fraction)
    matched = ground_truth.boxes[matches.index[chosen.index]]
    deltas = box_ops.encode(matched, anchors[chosen.index], box_weights)
    return RPNTargets(chosen.index, chosen.positive, chosen.valid, deltas)


def box_targets(rois: Rois, ground_truth: GroundTruth, box_weights: box_ops.Weights) -> Float[Array, "n 4"]:
    """Deltas from each roi to its matched object; meaningful where the roi is foreground."""
    return box_ops.encode(ground_truth.boxes[rois.matched_index], rois.boxes, box_weights)


def mask_targets(
    rois: Rois, ground_truth: GroundTruth, size: int, samples: int, aligned: bool, binary: bool
) -> Float[Array, "n {size} {size}"]:
    """What each roi's matched object covers of the roi, on the mask head's grid.

    Args:
        rois: of one image.
        ground_truth: of the same image.
        size: side of the mask head's output.
        samples: samples per bin and axis; 0 takes `⌈side / size⌉` of each roi in pixels.
        aligned: look where the roi is; False looks half a pixel further right and down.
        binary: round to {0, 1}; False keeps the covered share of each bin.

    Returns:
        `[n, size, size]` in `[0, 1]`; meaningful where the roi is foreground.

    Source: Mask R-CNN, section 3.1; without samples and not aligned, numbers of torchvision `project_masks_on_boxes`.
    """
    index = rois.matched_index
    boxes = rois.boxes if aligned else rois.boxes + 0.5
    covered = crop_masks(ground_truth.masks[index], ground_truth.mask_extent[index], boxes, size, samples)
    return jnp.where(covered >= 0.5, 1.0, 0.0) if binary else covered
