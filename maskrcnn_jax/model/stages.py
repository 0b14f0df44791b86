"""The steps between the networks, from struct to struct, for one image."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.messages.config_error import require, require_fraction, require_not_negative, require_positive
from maskrcnn_jax.nn.heads.rpn import ProposalConfig
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops import nms as nms_ops
from maskrcnn_jax.ops.matching import MatchConfig, Matches, match
from maskrcnn_jax.ops.roi_align import PoolConfig, assign_levels, roi_align
from maskrcnn_jax.ops.sampling import sample
from maskrcnn_jax.structs import (
    AnchorTargets,
    BoxOutput,
    Candidates,
    ClassCandidates,
    Detections,
    GroundTruth,
    Proposals,
    Rois,
    RPNOutput,
)

NMS = Callable[..., Bool[Array, " k"]]
"""What `ops.nms.nms` does, or something else that takes and returns the same."""

RoIAlign = Callable[..., Array]
"""What `ops.roi_align.roi_align` does, or something else that takes and returns the same."""


@dataclass(frozen=True)
class DetectConfig:
    """From box-head outputs to detections."""

    score_threshold: float = 0.05
    nms_iou: float = 0.5
    count: int = 100
    """Detections per image."""
    top_k: int = 2000
    """Best (roi, class) pairs that enter suppression. Exact while no more pairs than this pass the score threshold, or
    while `count` survive among them."""
    best_class_only: bool = False
    """Look at each roi's most likely class alone, and at the roi only if that is not background (Matterport)."""
    min_size: float | None = 0.0
    """Boxes with a side of at most this many pixels are dropped; none if None (Matterport)."""

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        require_fraction(f"{where}.score_threshold", self.score_threshold)
        require_fraction(f"{where}.nms_iou", self.nms_iou)
        require_positive(f"{where}.count", self.count)
        fits = self.top_k >= self.count
        require(fits, f"{where}.top_k", self.top_k, f"must not be below {where}.count = {self.count}")
        if self.min_size is not None:
            require_not_negative(f"{where}.min_size", self.min_size)


def _per_level(values: Array, counts: tuple[int, ...], fill: float) -> Array:
    """Cuts the leading axis into levels and pads them to the same length: `[levels, longest, …]`."""
    starts = [sum(counts[:i]) for i in range(len(counts))]
    parts = [values[s : s + c] for s, c in zip(starts, counts, strict=True)]
    pads = [[(0, max(counts) - c)] + [(0, 0)] * (values.ndim - 1) for c in counts]
    return jnp.stack([jnp.pad(p, w, constant_values=fill) for p, w in zip(parts, pads, strict=True)])


def select_candidates(
    rpn: RPNOutput,
    anchors: Float[Array, "a 4"],
    region: Float[Array, "4"],
    level_counts: tuple[int, ...],
    top_k: int,
    config: ProposalConfig,
    nms: NMS = nms_ops.nms,
) -> Candidates:
    """Decodes the best anchors of each level and suppresses what overlaps a better one of its level.

    With `config.joint` all levels count as one.

    Args:
        rpn: logits `[a]` and deltas `[a, 4]`.
        anchors: `[a, 4]` pixels.
        region: `[4]` pixels; boxes are clipped to it.
        level_counts: anchors of each level, in order; they add up to `a`.
        top_k: candidates per level, or of all of them.
        config: thresholds and the coder's numbers.
        nms: see `ops.nms.nms`; called with one level's boxes, best first.

    Returns:
        Candidates, level by level, best first within a level. No gradient flows through them.

    Source: FPN, section 4.1; numbers of Detectron2 `find_top_rpn_proposals`; joint, of Matterport's `ProposalLayer`.
    """
    logits, deltas = jax.lax.stop_gradient((rpn.logits, rpn.deltas))
    start, chosen = 0, []
    for count in (sum(level_counts),) if config.joint else level_counts:
        index = jax.lax.top_k(logits[start : start + count], min(top_k, count))[1]
        chosen.append(start + index)
        start += count
    counts = tuple(len(index) for index in chosen)
    index = jnp.concatenate(chosen)
    decoded = box_ops.decode(deltas[index], anchors[index], config.box_weights, config.max_log_scale)
    boxes = box_ops.clip(decoded, region)
    valid = box_ops.larger_than(boxes, config.min_size)
    boxes = jnp.where(valid[:, None], boxes, 0.0)
    kept = jax.vmap(lambda b, v: nms(b, v, config.nms_iou))(
        _per_level(boxes, counts, 0.0), _per_level(valid, counts, False)
    )
    keep = jnp.concatenate([kept[level, :count] for level, count in enumerate(counts)])
    level = jnp.searchsorted(jnp.cumsum(jnp.asarray(level_counts)), index, side="right")
    scores = jax.nn.sigmoid(logits[index])
    return Candidates(index.astype(jnp.int32), decoded, boxes, scores, level, valid, keep)


def select_proposals(candidates: Candidates, count: int) -> Proposals:
    """The `count` best kept candidates of all levels, best first."""
    ranked = jnp.where(candidates.keep, candidates.scores, -1.0)
    scores, index = jax.lax.top_k(ranked, min(count, ranked.shape[0]))
    valid = candidates.keep[index]
    return Proposals(candidates.boxes[index] * valid[:, None], jnp.where(valid, scores, 0.0), valid)


def match_ground_truth(boxes: Float[Array, "n 4"], ground_truth: GroundTruth, config: MatchConfig) -> Matches:
    """Matches boxes, anchors or proposals, with the objects of one image.

    Args:
        boxes: `[n, 4]` pixels.
        ground_truth: of the image; crowds are never matched, but may keep what they cover from being background.
        config: thresholds.

    Source: Faster R-CNN, section 3.1.2; numbers of Detectron2 `Matcher`, of crowds Matterport's.
    """
    return match(
        box_ops.iou(ground_truth.boxes, boxes),
        ground_truth.valid & ~ground_truth.is_crowd,
        config.foreground_iou,
        config.background_iou,
        config.low_quality,
        ground_truth.valid & ground_truth.is_crowd,
        config.crowd_iou,
    )


def sample_anchors(
    key: Array,
    anchors: Float[Array, "a 4"],
    ground_truth: GroundTruth,
    config: MatchConfig,
    box_weights: box_ops.Weights,
) -> AnchorTargets:
    """Matches anchors with objects and draws a fixed number of them for training.

    Args:
        key: random key; it is consumed.
        anchors: `[a, 4]` pixels; those that leave the image take part.
        ground_truth: of one image; crowds are never matched, but may keep what they cover from being background.
        config: thresholds, number and share of positives.
        box_weights: of the box coder.

    Returns:
        AnchorTargets of `config.count` slots, the last ones empty where there are fewer anchors. Without objects all
        are negative.

    Source: Faster R-CNN, section 3.1.2–3; numbers of Detectron2 `RPN.label_and_sample_anchors`.
    """
    matches = match_ground_truth(anchors, ground_truth, config)
    chosen = sample(key, matches.assignment, config.count, config.foreground_fraction)
    matched = ground_truth.boxes[matches.index[chosen.index]]
    deltas = box_ops.encode(matched, anchors[chosen.index], box_weights)
    targets = AnchorTargets(chosen.index, chosen.positive, chosen.valid, deltas)
    missing = config.count - len(chosen.index)
    return jax.tree.map(lambda x: jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)), targets)


def sample_rois(
    key: Array,
    proposals: Proposals,
    ground_truth: GroundTruth,
    num_classes: int,
    config: MatchConfig,
    append_ground_truth: bool,
) -> Rois:
    """Matches proposals with objects and draws a fixed number of them for training.

    Args:
        key: random key; it is consumed.
        proposals: of one image.
        ground_truth: of the same image; crowds are never matched, but may keep what they cover from being background.
        num_classes: foreground classes; the label of background.
        config: thresholds, number and share of foreground.
        append_ground_truth: let the objects' own boxes take part.

    Returns:
        Rois, foreground first. Without objects all are background.

    Source: Fast R-CNN, section 2.3; numbers of Detectron2 `label_and_sample_proposals`.
    """
    boxes, valid = proposals.boxes, proposals.valid
    if append_ground_truth:
        boxes = jnp.concatenate([boxes, ground_truth.boxes])
        valid = jnp.concatenate([valid, ground_truth.valid & ~ground_truth.is_crowd])
    matches = match_ground_truth(boxes, ground_truth, config)
    chosen = sample(key, jnp.where(valid, matches.assignment, -1), config.count, config.foreground_fraction)
    matched = matches.index[chosen.index]
    labels = jnp.where(chosen.positive, ground_truth.labels[matched], num_classes)
    return Rois(boxes[chosen.index], chosen.valid, labels.astype(jnp.int32), matched)


def foreground_rois(rois: Rois, count: int, num_classes: int) -> Rois:
    """The RoIs that the mask head is trained on.

    Args:
        rois: of one image, foreground first.
        count: slots, as many as there can be foreground rois.
        num_classes: foreground classes; the label of background.

    Returns:
        Rois: the foreground. Slots that are left over are not valid and repeat the others, so that the statistics of
        batch norms in the mask head are those of objects, as in prediction. Without foreground they repeat the first
        RoI.
    """
    first = jax.tree.map(lambda x: x[:count], rois)
    filled = first.valid & (first.labels < num_classes)
    repeated = jnp.arange(count) % jnp.maximum(jnp.sum(filled), 1)
    return jax.tree.map(lambda x: x[repeated], first)._replace(valid=filled)


def pool(
    features: tuple[Float[Array, "_h _w f"], ...],
    boxes: Float[Array, "n 4"],
    image_shape: tuple[int, int],
    bins: int,
    config: PoolConfig,
    roi_align: RoIAlign = roi_align,
    finest: int = 2,
) -> tuple[Float[Array, "n {bins} {bins} f"], Int[Array, " n"]]:
    """Features of each box from the pyramid level that fits its size, and which level that is.

    `finest` is the paper's number of the first level, 2 for P2.
    """
    level = assign_levels(boxes, len(features), config.canonical_size, config.canonical_level, config.level_eps, finest)
    pooled = roi_align(features, boxes, level, image_shape, bins, config.sampling_ratio, config.aligned)
    return pooled, level


def select_class_candidates(
    rois: Rois,
    box: BoxOutput,
    region: Float[Array, "4"],
    box_weights: box_ops.Weights,
    max_log_scale: float | None,
    config: DetectConfig,
    nms: NMS = nms_ops.nms,
) -> ClassCandidates:
    """Decodes the boxes of the best pairs of a roi and a class, and suppresses what overlaps a better one of its class.

    Args:
        rois: `[n]` of one image.
        box: logits `[n, C + 1]` and deltas `[n, C, 4]`, or `[n, 1, 4]` for all classes.
        region: `[4]` pixels; boxes are clipped to it.
        box_weights: of the box coder.
        max_log_scale: of the box coder.
        config: thresholds and counts.
        nms: see `ops.nms.nms`; called with the classes as groups.

    Returns:
        ClassCandidates, best first.

    Source: Fast R-CNN, section 2.4; numbers of Detectron2 `fast_rcnn_inference`; with `config.best_class_only`, of
    Matterport's `DetectionLayer`.
    """
    num_classes = box.logits.shape[1] - 1
    scores = jax.nn.softmax(box.logits)[:, :num_classes]
    passes = (scores > config.score_threshold) & rois.valid[:, None]
    if config.best_class_only:
        passes &= jnp.argmax(box.logits, axis=1)[:, None] == jnp.arange(num_classes)[None, :]
    ranked = jnp.where(passes, scores, -1.0).reshape(-1)
    scores, index = jax.lax.top_k(ranked, min(config.top_k, ranked.shape[0]))
    roi, labels = index // num_classes, index % num_classes
    own = labels if box.deltas.shape[1] == num_classes else jnp.zeros_like(labels)
    boxes = box_ops.decode(box.deltas[roi, own], rois.boxes[roi], box_weights, max_log_scale)
    boxes = box_ops.clip(boxes, region)
    valid = (scores >= 0) & box_ops.larger_than(boxes, config.min_size)
    boxes = jnp.where(valid[:, None], boxes, 0.0)
    keep = nms(boxes, valid, config.nms_iou, labels)
    scores = jnp.where(valid, scores, 0.0)
    return ClassCandidates(roi.astype(jnp.int32), boxes, scores, labels.astype(jnp.int32), valid, keep)


def select_detections(pairs: ClassCandidates, count: int) -> Detections:
    """The `count` best kept pairs, best first; without masks."""
    index, found = nms_ops.first(pairs.keep, count)
    return Detections(
        jnp.where(found[:, None], pairs.boxes[index], 0.0),
        jnp.where(found, pairs.scores[index], 0.0),
        jnp.where(found, pairs.labels[index], 0),
        found,
        None,
    )
