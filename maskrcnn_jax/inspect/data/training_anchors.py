"""What training asks of every anchor of a picture, and which of them its loss looks at."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import AnchorConfig, Config
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.model.stages import sample_anchors
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.anchors import pyramid_anchors
from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.structs import AnchorTargets, GroundTruth


class Pyramid(NamedTuple):
    """The anchors of one padded size."""

    anchors: np.ndarray
    """`[a, 4]` float32, pixels; level by level, row by row, then ratio."""
    cells: tuple[tuple[int, int], ...]
    """(height, width) of P2, P3, …"""
    counts: tuple[int, ...]
    """Anchors of each level."""

    def levels(self) -> np.ndarray:
        """`[a]`: the level of each anchor, 0 for P2."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


class AnchorAnswers(NamedTuple):
    """What the region proposal network should say of a picture."""

    assignment: np.ndarray
    """`[a]` an `Assignment` for every anchor."""
    refined: np.ndarray
    """`[a, 4]` pixels: the anchors with their targets applied; meaningful where positive."""
    sampled: np.ndarray
    """`[s]`: the anchors that the loss looks at, in random order."""
    overlaps: np.ndarray
    """`[g]`: the best IoU of each slot's object with an anchor; 0 where there is none."""

    def which(self, assignment: Assignment, *, sampled: bool) -> np.ndarray:
        """The anchors that are assigned so: of all, or of those that the loss looks at."""
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
    return Pyramid(anchors, cells, counts)


def anchor_answers(
    key: PRNGKeyArray, anchors: Float[np.ndarray, "a 4"], truth: GroundTruth, config: Config
) -> AnchorAnswers:
    """What training asks of the anchors of one picture.

    Args:
        key: random key that draws the sample; it is consumed.
        anchors: pixels.
        truth: of one image: no leading `B`.
        config: of the experiment.
    """
    # Slots without an object would change nothing, but take their time; one is left where there is no object at all.
    used = np.flatnonzero(truth.valid) if truth.valid.any() else np.array([0])
    objects = GroundTruth(*(field[used] for field in truth))
    everything, moved, sample, best = jax.device_get(_ask(key, anchors, objects, config))
    assignment = np.full(len(anchors), Assignment.IGNORE, np.int32)
    kinds = np.where(everything.positive, Assignment.POSITIVE, Assignment.NEGATIVE)
    assignment[everything.index[everything.valid]] = kinds[everything.valid]
    refined = anchors.copy()
    refined[everything.index[everything.positive]] = moved[everything.positive]
    overlaps = np.zeros(len(truth.valid), np.float32)
    overlaps[used] = best
    return AnchorAnswers(assignment, refined, sample.index[sample.valid], overlaps * truth.valid)


@partial(jax.jit, static_argnames="config")
def _ask(
    key: PRNGKeyArray, anchors: Float[Array, "a 4"], objects: GroundTruth, config: Config
) -> tuple[AnchorTargets, Float[Array, "a 4"], AnchorTargets, Float[Array, " g"]]:
    """The targets of all anchors and where they lead, those of the sample, and each object's best overlap."""
    proposals, match = config.model.rpn.proposals, config.sampling.anchors
    # With room for all of them a sample leaves out the ignored anchors alone.
    everyone = dataclasses.replace(match, count=len(anchors), foreground_fraction=1.0)
    ask = partial(sample_anchors, key, anchors, objects, box_weights=proposals.box_weights)
    everything, sample = ask(config=everyone), ask(config=match)
    start = anchors[everything.index]
    moved = box_ops.decode(everything.deltas, start, proposals.box_weights, proposals.max_log_scale)
    return everything, moved, sample, jnp.max(box_ops.iou(objects.boxes, anchors), axis=1)


def nearest(boxes: Float[np.ndarray, "n 4"], truth: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """The object whose box is nearest to each box, and how far its sides lie away at most.

    Args:
        boxes: pixels.
        truth: of one image, with an object that is no crowd.

    Returns:
        Slots `[n]`, and distances `[n]` in pixels.
    """
    usable = np.flatnonzero(truth.valid & ~truth.is_crowd)
    distances = np.abs(boxes[:, None] - truth.boxes[usable][None]).max(axis=2)
    return usable[distances.argmin(axis=1)], distances.min(axis=1)


def anchor_table(pyramid: Pyramid, config: AnchorConfig) -> Table:
    """The levels: cells, stride, and the sizes of the anchors of one cell."""
    rows = []
    starts, ratios = np.cumsum([0, *pyramid.counts]), len(config.aspect_ratios)
    for level, (height, width) in enumerate(pyramid.cells):
        x0, y0, x1, y1 = pyramid.anchors[starts[level] : starts[level] + ratios].T
        steps = np.diff(pyramid.anchors[starts[level] :: ratios, 0][:width])
        stride = round(float(steps[0]), 3) if len(steps) else None
        sizes = ", ".join(f"{h:.0f} × {w:.0f}" for h, w in zip(y1 - y0, x1 - x0, strict=True))
        cells = f"{height} × {width}"
        rows.append((f"P{level + 2}", cells, stride, config.sizes[level], sizes, pyramid.counts[level]))
    columns = ("level", "cells", "stride", "√ area", "height × width of a cell's anchors", "anchors")
    return Table(columns, rows, "Anchors by level, pixels of the network's input")


def assignment_table(pyramid: Pyramid, answers: AnchorAnswers) -> Table:
    """How many anchors of each level are what, among all and among those that the loss looks at."""
    levels = pyramid.levels()
    kinds = (Assignment.POSITIVE, Assignment.NEGATIVE, Assignment.IGNORE)
    counts = [np.bincount(levels[answers.which(k, sampled=False)], minlength=len(pyramid.counts)) for k in kinds]
    counts += [np.bincount(levels[answers.which(k, sampled=True)], minlength=len(pyramid.counts)) for k in kinds[:2]]
    rows: list[tuple[object, ...]] = [(f"P{level + 2}", *row) for level, row in enumerate(zip(*counts, strict=True))]
    rows.append(("all", *(count.sum() for count in counts)))
    columns = ("level", "positive", "negative", "ignored", "sampled positive", "sampled negative")
    return Table(columns, rows, "Anchors by what they count as")


def object_anchor_table(answers: AnchorAnswers, truth: GroundTruth, class_names: Sequence[str], least: float) -> Table:
    """The objects and their anchors; marked are those that no anchor overlaps by `least`."""
    positive = answers.which(Assignment.POSITIVE, sampled=False)
    counts = np.zeros(len(truth.valid), int)
    if len(positive):
        counts = np.bincount(nearest(answers.refined[positive], truth)[0], minlength=len(counts))
    rows: list[tuple[object, ...]] = []
    marked = []
    for slot in np.flatnonzero(truth.valid):
        x0, y0, x1, y1 = truth.boxes[slot].tolist()
        name = class_names[truth.labels[slot]] + (" (crowd)" if truth.is_crowd[slot] else "")
        if not truth.is_crowd[slot] and answers.overlaps[slot] < least:
            marked.append(len(rows))
        rows.append((name, f"{y1 - y0:.0f} × {x1 - x0:.0f}", float(answers.overlaps[slot]), counts[slot]))
    return Table(
        ("object", "height × width", "best IoU with an anchor", "positive anchors"),
        rows,
        f"Objects; no anchor overlaps the marked ones by {least:g}",
        marked,
    )
