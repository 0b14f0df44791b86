"""The forward pass, stage by stage: a torchvision model and this project's with its weights, on real images."""

from collections.abc import Iterable
from functools import cache, partial
from typing import NamedTuple

import cv2
import jax
import lively
import numpy as np
import pytest
import torch
import torchvision_trace
from conftest import read_image, to_torch
from near_ties import Choice, explain
from our_trace import Forward, same_model
from torchvision_trace import Theirs

import maskrcnn_jax as mr
from maskrcnn_jax.config import DetectConfig
from maskrcnn_jax.structs import Trace

CALIBRATION = (397133, 349860, 475678, 165518)
IMAGES = {
    "427x640": lambda: read_image(252639),
    "426x640": lambda: read_image(107438),
    "333x500": lambda: read_image(434204),
    "428x640": lambda: read_image(78499),
    "480x640": lambda: read_image(551780),
    "375x500": lambda: read_image(84284),
    "640x427": lambda: read_image(159269),
    "640x426": lambda: read_image(377575),
    "50x70": lambda: cv2.resize(read_image(99053), (70, 50), interpolation=cv2.INTER_AREA),
    "1500x300": lambda: cv2.resize(read_image(568290), (300, 1500), interpolation=cv2.INTER_AREA),
}
"""Height × width. Several of them are padded to the same size, which saves compiling."""


class Version(NamedTuple):
    """A published model with images and proposals that are small enough for two cores."""

    make: type
    shortest_edge: int
    proposals: int
    background: float


VERSIONS = {"v1": Version(lively.v1, 480, 1000, 4.5), "v2": Version(lively.v2, 320, 300, 3.0)}


class Sides(NamedTuple):
    theirs: Theirs
    ours: Trace


class Models(NamedTuple):
    """The same model twice."""

    theirs: torch.nn.Module
    ours: mr.MaskRCNN
    forward: Forward


@cache
def models(version: str) -> Models:
    make, shortest_edge, proposals, background = VERSIONS[version]
    sizes = {"min_size": shortest_edge, "max_size": shortest_edge * 5 // 3, "rpn_post_nms_top_n_test": proposals}
    theirs = lively.lively(partial(make, **sizes), [to_torch(read_image(n)) for n in CALIBRATION], background)
    ours = same_model(theirs)
    return Models(theirs, ours, Forward(ours))


def of_each_version(names: Iterable[str]) -> list:
    """Parameters (version, name of an image), one version after the other."""
    return [pytest.param((version, name), id=f"{version}-{name}") for version in VERSIONS for name in names]


@pytest.fixture(scope="module", params=of_each_version(IMAGES))
def sides(request) -> Sides:
    version, name = request.param
    image, model = IMAGES[name](), models(version)
    return Sides(torchvision_trace.run(model.theirs, to_torch(image)), model.forward(image))


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Norm of the difference, relative."""
    assert ours.shape == theirs.shape
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def pair_boxes(ours: np.ndarray, theirs: np.ndarray, same: np.ndarray | bool = True) -> tuple[np.ndarray, np.ndarray]:
    """For each box of torchvision's the index of the nearest one here, and the distance of their corners, pixels."""
    far = np.where(same, np.abs(ours[:, None] - theirs[None]).max(axis=2), np.inf)
    return far.argmin(axis=0), far.min(axis=0)


def proposal_anchors(trace: Trace) -> np.ndarray:
    """Which anchor each proposal came from."""
    kept = np.flatnonzero(trace.candidates.keep)
    by_box = {box.tobytes(): index for box, index in zip(trace.candidates.boxes[kept], kept, strict=True)}
    return trace.candidates.anchor_index[[by_box[box.tobytes()] for box in trace.proposals.boxes]]


def test_every_stage(sides: Sides):
    theirs, ours = sides.theirs.trace, sides.ours
    found = theirs.detections
    assert 50 <= len(found.boxes) <= 100 and len(set(found.labels.tolist())) >= 10
    measured = {"images": float(np.abs(ours.images - theirs.images).max())}
    measured |= {
        f"P{i + 2}": distance(a, b) for i, (a, b) in enumerate(zip(ours.features, theirs.features, strict=True))
    }
    measured["objectness"] = distance(ours.rpn.logits, theirs.rpn.logits)
    measured["deltas"] = distance(ours.rpn.deltas, theirs.rpn.deltas)
    np.testing.assert_array_equal(ours.anchors, theirs.anchors)

    position, far = pair_boxes(ours.proposals.boxes, theirs.proposals.boxes)
    same = far < 0.05
    position = position[same]
    measured["proposals found"] = same.mean()
    measured["proposal boxes"] = far[same].max()
    measured["proposal scores"] = np.abs(ours.proposals.scores[position] - theirs.proposals.scores[same]).max()
    measured["levels"] = (ours.roi_levels[position] == theirs.roi_levels[same]).mean()
    measured["roi features"] = distance(ours.roi_features[position], theirs.roi_features[same])
    measured["box logits"] = distance(ours.box.logits[position], theirs.box.logits[same])
    measured["box deltas"] = distance(ours.box.deltas[position], theirs.box.deltas[same])

    position, far = pair_boxes(ours.detections.boxes, found.boxes, ours.detections.labels[:, None] == found.labels)
    off = np.abs(ours.detections.scores[position] - found.scores)
    same = (far < 0.05) & (off < 1e-4)
    position = position[same]
    measured["detections"] = len(found.boxes)
    measured["classes"] = len(set(found.labels.tolist()))
    measured["found"] = same.mean()
    measured["boxes"] = far[same].max()
    measured["scores"] = off[same].max()
    measured["mask features"] = distance(ours.mask_features[position], theirs.mask_features[same])
    measured["mask logits"] = distance(ours.mask_logits[position], theirs.mask_logits[same])
    masks, expected = ours.detections.masks[position], found.masks[same]
    measured["masks"] = np.abs(masks - expected).max()
    measured["cells on one side of a half"] = ((masks > 0.5) == (expected > 0.5)).mean()
    print({name: float(f"{value:.3g}") for name, value in measured.items()})

    within_rounding = ("images", "P2", "P3", "P4", "P5", "P6", "objectness", "deltas", "proposal scores")
    assert all(measured[name] < 1e-4 for name in within_rounding)
    assert all(measured[name] < 1e-4 for name in ("roi features", "box logits", "box deltas"))
    assert all(measured[name] < 1e-4 for name in ("mask features", "mask logits"))
    assert measured["cells on one side of a half"] >= 0.9999
    assert measured["found"] >= 0.99 and measured["proposals found"] >= 0.99 and measured["levels"] == 1.0


def test_choices_of_proposals_differ_only_by_near_ties(sides: Sides):
    theirs, ours = sides.theirs.trace, sides.ours
    anchors = np.union1d(theirs.candidates.anchor_index, ours.candidates.anchor_index)
    level = np.zeros(len(theirs.anchors), int)
    for trace in (theirs, ours):
        level[trace.candidates.anchor_index] = trace.candidates.level
    a, b = (
        as_choice(
            anchors,
            trace.candidates.anchor_index,
            trace.candidates.boxes,
            trace.rpn.logits[trace.candidates.anchor_index],
            trace.candidates.keep,
            proposal_anchors(trace),
        )
        for trace in (theirs, ours)
    )
    entry = [min(c.scores[c.enters & (level[anchors] == k)].min() for c in (a, b)) for k in range(5)]
    ties = explain(a, b, level[anchors], 0.7, np.array(entry)[level[anchors]], np.zeros(len(anchors), bool))
    print(ties)
    assert not ties.unexplained
    assert ties.score_gap < 1e-3 and ties.iou_gap < 1e-4


def test_choices_of_detections_differ_only_by_near_ties(sides: Sides):
    theirs, ours = sides.theirs.trace, sides.ours
    classes = theirs.box.deltas.shape[1]
    rois = [proposal_anchors(trace) for trace in (theirs, ours)]
    # In torchvision all pairs above the threshold enter, here the best of them.
    pairs = jax.tree.map(lambda x: x[: DetectConfig().top_k], theirs.pairs), ours.pairs
    index = [roi[p.roi_index] * classes + p.labels for roi, p in zip(rois, pairs, strict=True)]
    items = np.union1d(*index)
    # A roi that only one system has follows from another choice, which the test above explains.
    given = ~np.isin(items // classes, np.intersect1d(*rois))
    a, b = (as_choice(items, i, p.boxes, p.scores, p.keep, i[p.keep][:100]) for i, p in zip(index, pairs, strict=True))
    entry = np.full(len(items), min(p.scores.min() for p in pairs))
    ties = explain(a, b, items % classes, 0.5, entry, given)
    print(ties)
    assert not ties.unexplained
    # Boxes that torchvision shifts by their class are rounded to up to 2⁻⁷ pixels before they are compared.
    assert ties.score_gap < 1e-4 and ties.iou_gap < 2e-3


@pytest.mark.parametrize("which", of_each_version(["427x640", "50x70", "1500x300"]))
def test_predictor(which: tuple[str, str]):
    """In pixels of the image; masks thresholded at a half, as usual with torchvision."""
    image, model = IMAGES[which[1]](), models(which[0])
    theirs = torchvision_trace.run(model.theirs, to_torch(image)).result
    (ours,) = mr.Predictor(model.ours)([image])
    position, far = pair_boxes(ours.boxes, theirs["boxes"], ours.labels[:, None] + 1 == theirs["labels"])
    off = np.abs(ours.scores[position] - theirs["scores"])
    same = (far < 0.05) & (off < 1e-4)
    position = position[same]
    a, b = ours.masks[position], theirs["masks"][same, 0] > 0.5
    overlap = (a & b).sum((1, 2)) / np.maximum((a | b).sum((1, 2)), 1)
    overlap[~(a | b).any(axis=(1, 2))] = 1
    pixels = (a != b).sum()
    print(f"{len(far)} boxes, {same.mean():.3f} found, {far[same].max():.2g} px, scores {off[same].max():.2g}, "
          f"mask IoU {overlap.mean():.5f}, least {overlap.min():.4f}, {pixels} of {b.sum()} pixels differ")  # fmt: skip
    assert same.mean() >= 0.99 and len(ours.boxes) == len(far)
    assert overlap.mean() >= 0.995
    assert b.any(axis=(1, 2)).mean() > 0.5


def as_choice(items, index, boxes, scores, survives, chosen) -> Choice:
    """One side's choice, given for the items in `index`, as an array over all items (in ascending order)."""
    at = np.searchsorted(items, index)
    full = Choice(
        np.zeros((len(items), 4)), np.full(len(items), -np.inf), *(np.zeros(len(items), bool) for _ in range(3))
    )
    full.boxes[at], full.scores[at], full.enters[at], full.survives[at] = boxes, scores, True, survives
    full.chosen[np.searchsorted(items, chosen)] = True
    return full
