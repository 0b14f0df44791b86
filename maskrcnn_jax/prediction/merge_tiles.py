"""One object out of what several windows on an image show of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.masks.lazy_masks import Crops, Patch, Window
from maskrcnn_jax.structs import Detections

MARGIN = 1 / 32
"""A box that comes closer to the end of its window than this share of the window's side may go on beyond it. Too much
does no harm: such an object lies whole in the next window, or is joined from its parts."""
SAME_OBJECT_IOU = 0.5
"""Two windows show the same object if, where both look, more than this share of the union of what they show is common:
of the objects that one window tells apart at most one can agree so well with an object of another window."""
BOXES_AGREE = 0.25
"""The same of boxes; masks are compared only where it holds."""
MIN_SCORE_RATIO = 0.5
"""Of what is said about an object, what has less than this share of the best score is not heard."""
SAMPLES = 64
"""Masks are compared at as many places along either axis."""
COVERED = 0.7
"""A part of an object is no object of its own if this share of it lies in a whole one of its class."""


Counts = tuple[float, float, float]
"""What two have in common, and each of them."""


class TileDetections(NamedTuple):
    """What windows show, in pixels of the image."""

    windows: Int[np.ndarray, "n 4"]
    """Where each was seen, (x0, y0, x1, y1)."""
    boxes: Float[np.ndarray, "n 4"]
    scores: Float[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    cut: Bool[np.ndarray, " n"]
    """The object may go on outside the window."""
    masks: Crops | None


def gather(found: Detections, window: Window, scale: tuple[float, float], size: tuple[int, int]) -> TileDetections:
    """Carries what was found in a window to the whole image.

    Args:
        found: In pixels of the window, masks as `Crops`.
        window: Of the image or of a smaller copy.
        scale: (x, y), pixels of the image per pixel of the copy.
        size: (height, width) of the image.
    """
    factor, corner = np.tile(scale, 2), np.tile(window[:2], 2)
    ends = np.rint(np.array(window) * factor).astype(int)
    boxes = (found.boxes + corner) * factor
    margins = MARGIN * np.tile(ends[2:] - ends[:2], 2)
    inner = ends != np.array([0, 0, size[1], size[0]])
    cut = np.any((np.abs(boxes - ends) < margins) & inner, axis=1)
    masks = None
    if found.masks is not None:
        x0, y0, x1, y1 = ends.tolist()
        masks = Crops(
            [
                tuple(Patch(patch.probabilities, (patch.place + corner) * factor, (x0, y0, x1, y1)) for patch in parts)
                for parts in found.masks.patches
            ]
        )
    return TileDetections(np.tile(ends, (len(boxes), 1)), boxes, found.scores, found.labels, cut, masks)


def join(seen: Sequence[TileDetections], nms_iou: float) -> Detections:
    """The objects of an image, best first, each once.

    Of an object's sightings that are not cut the one of the smallest window is taken, for its fineness; if all are cut,
    they are put together.

    Args:
        seen: What each window shows.
        nms_iou: Of two objects of a class that overlap more the better stays.

    Returns:
        Detections, masks as `Crops`.
    """
    pieces = _concatenate(seen)
    objects = _concatenate([_rows(pieces, np.zeros(0, int)), *(_settle(pieces, rows) for rows in groups(pieces))])
    kept = suppress(objects, nms_iou)
    best = _rows(objects, kept[np.argsort(-objects.scores[kept], kind="stable")])
    return Detections(
        best.boxes.astype(np.float32),
        best.scores.astype(np.float32),
        best.labels.astype(np.int32),
        np.ones(len(best.boxes), bool),
        best.masks,
    )


def groups(pieces: TileDetections) -> list[Int[np.ndarray, " m"]]:
    """The rows of pieces that show the same object, for each object."""
    group = np.arange(len(pieces.boxes))
    for row in range(len(group)):
        for other in _near(pieces, row, np.arange(row + 1, len(group))).tolist():
            same_window = (pieces.windows[other] == pieces.windows[row]).all()
            if same_window or group[other] == group[row]:
                continue
            region = _common(pieces.windows[row], pieces.windows[other])
            boxes = _common(pieces.boxes[[row, other]], region)
            if _iou(_count_boxes(boxes)) > BOXES_AGREE and _iou(_count(pieces, row, other, boxes)) > SAME_OBJECT_IOU:
                group[group == group[other]] = group[row]
    return [np.flatnonzero(group == number) for number in np.unique(group)]


def suppress(objects: TileDetections, nms_iou: float) -> Int[np.ndarray, " k"]:
    """The rows of objects that overlap no better one of their class too much and are no part of a whole one."""
    kept: list[int] = []
    for row in np.lexsort((-objects.scores, objects.cut)).tolist():  # whole ones first
        for other in _near(objects, row, np.array(kept, int)).tolist():
            if (objects.windows[other] == objects.windows[row]).all() and not objects.cut[other]:
                continue  # the network has compared them
            counts = _count(objects, row, other, objects.boxes[[row, other]])
            both, own, _ = counts
            if _iou(counts) > nms_iou or (objects.cut[row] and both > COVERED * own):
                break
        else:
            kept.append(row)
    return np.array(kept, int)


def _settle(pieces: TileDetections, rows: np.ndarray) -> TileDetections:
    """One piece out of those that show the same object."""
    best = pieces.scores[rows].max(keepdims=True)
    heard = rows[pieces.scores[rows] >= MIN_SCORE_RATIO * best]
    whole = heard[~pieces.cut[heard]]
    if whole.size:
        heard = whole[np.lexsort((-pieces.scores[whole], _area(pieces.windows[whole])))][:1]
    masks = pieces.masks
    if masks is not None:
        masks = Crops([tuple(patch for row in heard.tolist() for patch in masks.patches[row])])
    first = heard[:1]
    return TileDetections(
        _hull(pieces.windows[heard]), _hull(pieces.boxes[heard]), best, pieces.labels[first], pieces.cut[first], masks
    )


def _concatenate(parts: Sequence[TileDetections]) -> TileDetections:
    crops = [part.masks for part in parts if part.masks is not None]
    return TileDetections(
        np.concatenate([part.windows for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.cut for part in parts]),
        Crops([patches for masks in crops for patches in masks.patches]) if crops else None,
    )


def _rows(pieces: TileDetections, rows: np.ndarray) -> TileDetections:
    masks = None if pieces.masks is None else pieces.masks[rows]
    return TileDetections(
        pieces.windows[rows], pieces.boxes[rows], pieces.scores[rows], pieces.labels[rows], pieces.cut[rows], masks
    )


def _near(pieces: TileDetections, row: int, others: np.ndarray) -> np.ndarray:
    """Those pieces that are of one's class and whose boxes have something in common with its own."""
    x0, y0, x1, y1 = pieces.boxes[row]
    others = others[pieces.labels[others] == pieces.labels[row]]
    others = others[(pieces.boxes[others, 0] < x1) & (pieces.boxes[others, 2] > x0)]
    return others[(pieces.boxes[others, 1] < y1) & (pieces.boxes[others, 3] > y0)]


def _count(pieces: TileDetections, a: int, b: int, boxes: Float[np.ndarray, "2 4"]) -> Counts:
    """How much of the region around two boxes lies in both pieces, in `a` and in `b`: of masks, if there are any."""
    if pieces.masks is None:
        return _count_boxes(boxes)
    one, two = (pieces.masks.sample(row, _hull(boxes)[0], SAMPLES) for row in (a, b))
    return int((one & two).sum()), int(one.sum()), int(two.sum())


def _count_boxes(boxes: Float[np.ndarray, "2 4"]) -> Counts:
    both, one, two = _area(np.stack([_common(boxes[0], boxes[1]), boxes[0], boxes[1]])).tolist()
    return both, one, two


def _iou(counts: Counts) -> float:
    both, one, two = counts
    return both / max(one + two - both, 1e-9)


def _common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What boxes have in common; its end lies before its start if that is nothing."""
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def _hull(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]
