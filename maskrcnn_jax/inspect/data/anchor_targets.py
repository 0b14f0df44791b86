"""The targets of an image's anchors in training, and the anchors that the loss uses."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from maskrcnn_jax import structs
from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import Config
from maskrcnn_jax.model.stages import sample_anchors
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.anchors import pyramid_anchors
from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.structs import GroundTruth


class Pyramid(NamedTuple):
    """The anchors of one padded size."""

    anchors: np.ndarray
    """`[a, 4]` float32, pixels; by level, row, column, then ratio."""
    cells: tuple[tuple[int, int], ...]
    """(height, width) of P2, P3, …"""
    counts: tuple[int, ...]
    """Anchors of each level."""
    names: tuple[str, ...]
    """Of the levels: "P2", "P3", …"""

    def of_cell(self, level: int, cell: int) -> Float[np.ndarray, "r 4"]:
        """The anchors of a cell of a level, one for each ratio, pixels; cells are counted row by row."""
        height, width = self.cells[level]
        ratios = self.counts[level] // (height * width)
        first = sum(self.counts[:level]) + ratios * cell
        return self.anchors[first : first + ratios]

    def levels(self) -> np.ndarray:
        """`[a]`: the level of each anchor, 0 for P2."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


class AnchorTargets(NamedTuple):
    """The targets of the anchors of an image."""

    assignment: np.ndarray
    """`[a]` an `Assignment` for every anchor."""
    refined: np.ndarray
    """`[a, 4]` pixels: the anchors with their targets applied; meaningful where positive."""
    sampled: np.ndarray
    """`[s]`: the anchors that the loss uses, in random order."""
    overlaps: np.ndarray
    """`[g]`: the best IoU of each slot's object with an anchor; 0 where there is none."""

    def which(self, assignment: Assignment, *, sampled: bool) -> np.ndarray:
        """The anchors with an assignment: of all, or of those that the loss uses."""
        if sampled:
            return self.sampled[self.assignment[self.sampled] == assignment]
        return np.flatnonzero(self.assignment == assignment)


def build_pyramid(config: Config, image_shape: tuple[int, int]) -> Pyramid:
    """The anchors of an experiment's network for a padded (height, width)."""
    pixels = jax.ShapeDtypeStruct((1, *image_shape, 3), config.model.dtype)
    features = jax.eval_shape(lambda model, x: model.fpn(model.backbone(x)), abstract_model(config), pixels)
    cells = tuple((level.shape[1], level.shape[2]) for level in features)
    model = config.model
    anchors, counts = pyramid_anchors(model.rpn.anchors, cells, model.strides, image_shape, model.inclusive_boxes)
    return Pyramid(anchors, cells, counts, model.level_names)


def anchor_targets(
    key: PRNGKeyArray, anchors: Float[np.ndarray, "a 4"], truth: GroundTruth, config: Config
) -> AnchorTargets:
    """The targets of the anchors of one image, of which `key` draws the sample; all boxes are in pixels."""
    # Empty slots would change nothing, but cost time; one is left if there is no object at all.
    used = np.flatnonzero(truth.valid) if truth.valid.any() else np.array([0])
    objects = GroundTruth(*(field[used] for field in truth))
    everything, moved, sample, best = jax.device_get(_targets(key, anchors, objects, config))
    assignment = np.full(len(anchors), Assignment.IGNORE, np.int32)
    kinds = np.where(everything.positive, Assignment.POSITIVE, Assignment.NEGATIVE)
    assignment[everything.index[everything.valid]] = kinds[everything.valid]
    refined = anchors.copy()
    refined[everything.index[everything.positive]] = moved[everything.positive]
    overlaps = np.zeros(len(truth.valid), np.float32)
    overlaps[used] = best
    return AnchorTargets(assignment, refined, sample.index[sample.valid], overlaps * truth.valid)


@partial(jax.jit, static_argnames="config")
def _targets(
    key: PRNGKeyArray, anchors: Float[Array, "a 4"], objects: GroundTruth, config: Config
) -> tuple[structs.AnchorTargets, Float[Array, "a 4"], structs.AnchorTargets, Float[Array, " g"]]:
    """The targets of all anchors, the refined anchors, the targets of the sample, and each object's best overlap."""
    proposals, match = config.model.rpn.proposals, config.sampling.anchors
    # A sample with room for all anchors leaves out only the ignored ones.
    all_of_them = dataclasses.replace(match, count=len(anchors), foreground_fraction=1.0)
    make = partial(sample_anchors, key, anchors, objects, box_weights=proposals.box_weights)
    everything, sample = make(config=all_of_them), make(config=match)
    start = anchors[everything.index]
    moved = box_ops.decode(everything.deltas, start, proposals.box_weights, proposals.max_log_scale)
    return everything, moved, sample, jnp.max(box_ops.iou(objects.boxes, anchors), axis=1)


def nearest(boxes: Float[np.ndarray, "n 4"], truth: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """The object, at least one of which is no crowd, whose box is nearest to each box: its slot, `[n]`.

    And the largest distance of their sides, `[n]` pixels.
    """
    usable = np.flatnonzero(truth.valid & ~truth.is_crowd)
    distances = np.abs(boxes[:, None] - truth.boxes[usable][None]).max(axis=2)
    return usable[distances.argmin(axis=1)], distances.min(axis=1)
