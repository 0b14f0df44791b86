"""An image run through a small network, and a hand-made trace."""

import dataclasses
import re
from functools import cache

import numpy as np
from matplotlib.figure import Figure
from small import CONFIG, SIDE, abstract, build, change

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.inspect.model.inspected import InputView, InspectedImage, run_model
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.structs import (
    BoxOutput,
    Candidates,
    ClassCandidates,
    Detections,
    HeadOutput,
    Proposals,
    Rois,
    RPNOutput,
    Trace,
)

NAMES = ("cat", "dog", "owl")


def image(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


@cache
def seen() -> InspectedImage:
    """A random image of the network's size in a network with random weights."""
    return run_model(build(), image())


@cache
def careless_model() -> MaskRCNN:
    """A network without mask head whose suppression drops nothing."""
    model = build(dataclasses.replace(CONFIG.model, mask_head=None))
    model.nms = lambda boxes, valid, iou, group=None: valid
    return model


@cache
def careless() -> InspectedImage:
    """The same image in that network."""
    return run_model(careless_model(), image())


VIEW = InputView(image(40, 60), np.array([2.0, 4.0], np.float32))
"""An image whose upper left corner is at (2, 4) of the input."""
ANCHORS = np.array([[x, y, x + 8, y + 8] for y in (0, 16, 32) for x in (0, 16)] + [[0, 0, 32, 32]] * 2, np.float32)
"""Of P2 with 3 × 2 cells and of P3 with 1 × 2, one ratio."""
PAIRS = ClassCandidates(
    roi_index=np.array([[0, 1, 0, 0]], np.int32),
    boxes=np.array([[[2, 4, 22, 24], [10, 4, 30, 24], [3, 5, 22, 24], [0, 0, 0, 0]]], np.float32),
    scores=np.array([[0.6, 0.2, 0.1, 0]], np.float32),
    labels=np.array([[0, 2, 1, 0]], np.int32),
    valid=np.array([[True, True, True, False]]),
    keep=np.array([[True, True, False, False]]),
)
"""The first is a detection, the second is kept, the third dropped, the fourth is padding."""


def trace() -> Trace:
    """Eight anchors; of them four candidates, of which one is dropped and one is no box; two proposals; one detection.

    The box head gives the first RoI cat 0.6, background 0.3 and dog 0.1, the second background 0.8 and owl 0.2.
    """
    candidates = np.array([[2, 4, 12, 14], [3, 5, 12, 14], [0, 0, 0, 0], [10, 4, 40, 44]], np.float32)
    rois = Rois(
        boxes=np.array([[[2, 4, 12, 14], [10, 4, 40, 44]]], np.float32),
        valid=np.array([[True, True]]),
        labels=np.array([[3, 3]], np.int32),
        matched_index=np.array([[0, 0]], np.int32),
    )
    logits = np.log(np.array([[[0.6, 0.1, 1e-6, 0.3], [1e-6, 1e-6, 0.2, 0.8]]], np.float32))
    masks = np.zeros((1, 2, 28, 28), np.float32)
    masks[0, 0, :, :14] = 1  # the left half
    detections = Detections(
        boxes=np.array([[[2, 4, 22, 24], [0, 0, 0, 0]]], np.float32),
        scores=np.array([[0.6, 0]], np.float32),
        labels=np.array([[0, 0]], np.int32),
        valid=np.array([[True, False]]),
        masks=masks,
    )
    return Trace(
        images=np.zeros((1, 64, 64, 3), np.float32),
        features=(np.zeros((1, 3, 2, 5), np.float32), np.zeros((1, 1, 2, 5), np.float32)),
        anchors=ANCHORS,
        rpn=RPNOutput(
            np.array([[0, 3, 1, -2, -4, 0.5, 2, -9]], np.float32), np.arange(32, dtype=np.float32).reshape(1, 8, 4)
        ),
        anchor_targets=None,
        candidates=Candidates(
            anchor_index=np.array([[1, 2, 5, 6]], np.int32),
            decoded=candidates[None] - 1,
            boxes=candidates[None],
            scores=np.array([[0.9, 0.7, 0.6, 0.8]], np.float32),
            level=np.array([[0, 0, 0, 1]], np.int32),
            valid=np.array([[True, True, False, True]]),
            keep=np.array([[True, False, False, True]]),
        ),
        proposals=Proposals(
            np.stack([candidates[[0, 3, 2]]]), np.array([[0.9, 0.8, 0]], np.float32), np.array([[True, True, False]])
        ),
        rois=rois,
        roi_levels=np.array([[0, 1]], np.int32),
        roi_features=np.random.default_rng(0).normal(size=(1, 2, 7, 7, 5)).astype(np.float32),
        box=BoxOutput(logits, np.zeros((1, 2, 3, 4), np.float32)),
        pairs=PAIRS,
        detections=detections,
        heads={
            "mask": HeadOutput(
                rois=Rois(detections.boxes, detections.valid, detections.labels, detections.labels),
                levels=np.zeros((1, 2), np.int32),
                features=np.zeros((1, 2, 14, 14, 5), np.float32),
                output=np.where(masks > 0, 4.0, -4.0)[..., None].repeat(3, axis=-1).astype(np.float32),
            )
        },
    )


def by_hand(found: Trace | None = None, config: ModelConfig | None = None) -> InspectedImage:
    """A trace, the hand-made one if None, as the result of a network with the classes of `NAMES`."""
    return InspectedImage(_model(config or NAMED), VIEW.image, (1.0, 1.0), VIEW, found or trace(), {})


NAMED = change(CONFIG.model, class_names=NAMES, rpn__anchors__aspect_ratios=(1.0,))
"""One anchor in each cell, as in the trace."""


@cache
def _model(config: ModelConfig) -> MaskRCNN:
    return abstract(config)


def without_detections(found: Trace) -> Trace:
    nothing = np.zeros_like(found.detections.valid)
    heads = {name: head._replace(rois=head.rois._replace(valid=nothing)) for name, head in found.heads.items()}
    return found._replace(
        pairs=found.pairs._replace(keep=np.zeros_like(found.pairs.keep)),
        detections=found.detections._replace(valid=nothing),
        heads=heads,
    )


def figure(step: Step) -> Figure:
    """The only figure of a step."""
    [only] = step.figures
    return only


def drawn(figure) -> list[list[list[float]]]:
    """The corners (x0, y0, x1, y1) of the boxes of each layer of a figure, in the order of drawing."""
    layers = []
    for axes in figure.axes:
        for layer in axes.collections:
            corners = [path.vertices for path in layer.get_paths()]
            if all(len(corner) == 5 for corner in corners):
                layers.append([[*corner[0].tolist(), *corner[2].tolist()] for corner in corners])
    return layers


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def numbers(text: str) -> list[float]:
    """The numbers in a text."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]
