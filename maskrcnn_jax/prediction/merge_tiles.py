"""Merges the detections of overlapping windows of an image: each object once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.masks.boxes import box_area, box_iou, box_overlap
from maskrcnn_jax.masks.lazy_masks import Crops, Patch, Window
from maskrcnn_jax.structs import Detections

MARGIN = 1 / 32
"""A box closer to an edge of its window than this share of the window's side counts as cut. Too large a share does no
harm: such an object is whole in the next window, or is merged from its parts."""
SAME_OBJECT_IOU = 0.5
"""Detections of two windows are the same object if their IoU within the overlap of the windows is above this: of
several objects of one window at most one can have such an IoU with an object of the other."""
MIN_BOX_IOU = 0.25
"""The same for boxes; masks are compared only above it."""
MIN_SCORE_RATIO = 0.5
"""Detections of an object with less than this share of its best score are ignored."""
SAMPLES = 64
"""Points along each axis at which masks are compared."""
COVERED = 0.7
"""A cut detection is dropped if this share of it is inside a whole one of its class."""


Counts = tuple[float, float, float]
"""Areas of the intersection of two objects, and of each."""


class TileDetections(NamedTuple):
    """Detections of windows, in pixels of the image."""

    windows: Int[np.ndarray, "n 4"]
    """The window of each, (x0, y0, x1, y1)."""
    boxes: Float[np.ndarray, "n 4"]
    scores: Float[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    cut: Bool[np.ndarray, " n"]
    """The object may extend beyond the window."""
    masks: Crops | None


def gather(found: Detections, window: Window, scale: tuple[float, float], size: tuple[int, int]) -> TileDetections:
    """Transforms the detections of a window to the whole image.

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

    Of an object's detections that are not cut the one of the smallest window is taken, which has the finest mask; if
    all are cut, they are united.

    Args:
        seen: The detections of each window.
        nms_iou: Of two objects of a class that overlap more the one with the higher score is kept.

    Returns:
        Detections, masks as `Crops`.
    """
    pieces = _concatenate(seen)
    objects = _concatenate([_take(pieces, np.zeros(0, int)), *(_merge(pieces, group) for group in groups(pieces))])
    kept = suppress(objects, nms_iou)
    best = _take(objects, kept[np.argsort(-objects.scores[kept], kind="stable")])
    return Detections(
        best.boxes.astype(np.float32),
        best.scores.astype(np.float32),
        best.labels.astype(np.int32),
        np.ones(len(best.boxes), bool),
        best.masks,
    )


def groups(pieces: TileDetections) -> list[Int[np.ndarray, " m"]]:
    """The indices of the detections of each object."""
    group = np.arange(len(pieces.boxes))
    for row in range(len(group)):
        for other in _near(pieces, row, np.arange(row + 1, len(group))).tolist():
            same_window = (pieces.windows[other] == pieces.windows[row]).all()
            if same_window or group[other] == group[row]:
                continue
            region = box_overlap(pieces.windows[row], pieces.windows[other])
            boxes = box_overlap(pieces.boxes[[row, other]], region)
            if (
                box_iou(boxes[:1], boxes[1:]) > MIN_BOX_IOU
                and _iou(_count(pieces, row, other, boxes)) > SAME_OBJECT_IOU
            ):
                group[group == group[other]] = group[row]
    return [np.flatnonzero(group == number) for number in np.unique(group)]


def suppress(objects: TileDetections, nms_iou: float) -> Int[np.ndarray, " k"]:
    """Non-maximum suppression per class that also drops parts of whole objects; the indices that are kept."""
    kept: list[int] = []
    for row in np.lexsort((-objects.scores, objects.cut)).tolist():  # whole ones first
        for other in _near(objects, row, np.array(kept, int)).tolist():
            if (objects.windows[other] == objects.windows[row]).all() and not objects.cut[other]:
                continue  # suppressed by the network already
            counts = _count(objects, row, other, objects.boxes[[row, other]])
            both, own, _ = counts
            if _iou(counts) > nms_iou or (objects.cut[row] and both > COVERED * own):
                break
        else:
            kept.append(row)
    return np.array(kept, int)


def _merge(pieces: TileDetections, group: np.ndarray) -> TileDetections:
    """One object from its detections."""
    best = pieces.scores[group].max(keepdims=True)
    used = group[pieces.scores[group] >= MIN_SCORE_RATIO * best]
    whole = used[~pieces.cut[used]]
    if whole.size:
        used = whole[np.lexsort((-pieces.scores[whole], box_area(pieces.windows[whole])))][:1]
    masks = pieces.masks
    if masks is not None:
        masks = Crops([tuple(patch for row in used.tolist() for patch in masks.patches[row])])
    first = used[:1]
    return TileDetections(
        _hull(pieces.windows[used]), _hull(pieces.boxes[used]), best, pieces.labels[first], pieces.cut[first], masks
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


def _take(pieces: TileDetections, indices: np.ndarray) -> TileDetections:
    masks = None if pieces.masks is None else pieces.masks[indices]
    return TileDetections(
        pieces.windows[indices],
        pieces.boxes[indices],
        pieces.scores[indices],
        pieces.labels[indices],
        pieces.cut[indices],
        masks,
    )


def _near(pieces: TileDetections, row: int, others: np.ndarray) -> np.ndarray:
    """Which of the others have the class of an object and a box that overlaps its box."""
    x0, y0, x1, y1 = pieces.boxes[row]
    others = others[pieces.labels[others] == pieces.labels[row]]
    others = others[(pieces.boxes[others, 0] < x1) & (pieces.boxes[others, 2] > x0)]
    return others[(pieces.boxes[others, 1] < y1) & (pieces.boxes[others, 3] > y0)]


def _count(pieces: TileDetections, a: int, b: int, boxes: Float[np.ndarray, "2 4"]) -> Counts:
    """Areas of two objects within their boxes: of their masks, if there are any."""
    if pieces.masks is None:
        return _count_boxes(boxes)
    one, two = (pieces.masks.sample(row, _hull(boxes)[0], SAMPLES) for row in (a, b))
    return int((one & two).sum()), int(one.sum()), int(two.sum())


def _count_boxes(boxes: Float[np.ndarray, "2 4"]) -> Counts:
    both, one, two = box_area(np.stack([box_overlap(boxes[0], boxes[1]), boxes[0], boxes[1]])).tolist()
    return both, one, two


def _iou(counts: Counts) -> float:
    both, one, two = counts
    return both / max(one + two - both, 1e-9)


def _hull(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]
