"""Detectron2's detection in NumPy, from the facts in its source: boxes are (x0, y0, x1, y1), pixels."""

from typing import NamedTuple

import numpy as np

MAX_LOG = np.log(1000 / 16)


class Found(NamedTuple):
    """Detections, best first."""

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def anchors(height: int, width: int, level: int) -> np.ndarray:
    """Of P2 (`level` 2) … P6: corners are not rounded, centres are on the corners of cells."""
    size, stride, boxes = 8 * 2**level, 2**level, []
    for y in range(0, stride * height, stride):
        for x in range(0, stride * width, stride):
            for ratio in (0.5, 1.0, 2.0):  # height over width
                w = np.sqrt(size**2 / ratio)
                h = ratio * w
                boxes.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return np.array(boxes)


def apply_deltas(boxes: np.ndarray, deltas: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    deltas = deltas / np.array(weights)
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + sides / 2 + deltas[:, :2] * sides
    sides = np.exp(np.minimum(deltas[:, 2:], MAX_LOG)) * sides
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)


def clip(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.clip(boxes, 0, [width, height, width, height])


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    shared = np.prod(np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0), axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared)


def batched_nms(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, threshold: float) -> list[int]:
    """Positions of what no better box of its group overlaps, best first."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        rivals = [j for j in kept if groups[j] == groups[i]]
        if not rivals or (iou(boxes[i], boxes[rivals]) <= threshold).all():
            kept.append(int(i))
    return kept


def find_top_proposals(
    levels: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: tuple[int, int], pre_nms: int, post_nms: int
) -> np.ndarray:
    """The best of each level, suppressed level by level, ranked together.

    Args:
        levels: anchors, logits and deltas of each.
        size: `(height, width)` of the image.
        pre_nms: candidates per level.
        post_nms: proposals.
    """
    boxes, scores, groups = [], [], []
    for i, (start, logits, deltas) in enumerate(levels):
        best = np.argsort(-logits, kind="stable")[:pre_nms]
        boxes.append(clip(apply_deltas(start[best], deltas[best], (1, 1, 1, 1)), size))
        scores.append(logits[best])
        groups.append(np.full(len(best), i))
    candidates, ranks, group = (np.concatenate(part) for part in (boxes, scores, groups))
    wide = ((candidates[:, 2:] - candidates[:, :2]) > 0).all(axis=1)
    candidates, ranks, group = candidates[wide], ranks[wide], group[wide]
    return candidates[batched_nms(candidates, ranks, group, 0.7)[:post_nms]]


def level_of(box: np.ndarray) -> int:
    side = np.sqrt(np.prod(box[2:] - box[:2]))
    return int(np.clip(np.floor(4 + np.log2(side / 224 + 1e-8)), 2, 5))


def bilinear(level: np.ndarray, y: float, x: float) -> np.ndarray:
    """`[c]`: beyond half a cell outside nothing, until then the border."""
    height, width = level.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(level))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    above = level[:, top, left] * (1 - x + left) + level[:, top, right] * (x - left)
    below = level[:, bottom, left] * (1 - x + left) + level[:, bottom, right] * (x - left)
    return above * (1 - y + top) + below * (y - top)


def roi_align(levels: list[np.ndarray], box: np.ndarray, size: int) -> np.ndarray:
    """`ROIAlignV2` with sampling ratio 0: as many samples per bin as it has cells, half a pixel further up and left."""
    number = level_of(box)
    level = levels[number - 2]
    x0, y0, x1, y1 = box / 2**number - 0.5
    bin_h, bin_w = (y1 - y0) / size, (x1 - x0) / size
    samples_y, samples_x = (max(int(np.ceil(side)), 1) for side in (bin_h, bin_w))
    out = np.zeros((len(level), size, size))
    for i in range(size):
        for j in range(size):
            samples = [
                bilinear(level, y0 + (i + (a + 0.5) / samples_y) * bin_h, x0 + (j + (b + 0.5) / samples_x) * bin_w)
                for a in range(samples_y)
                for b in range(samples_x)
            ]
            out[:, i, j] = np.mean(samples, axis=0)
    return out


def fast_rcnn_inference(
    proposals: np.ndarray, scores: np.ndarray, deltas: np.ndarray, size: tuple[int, int], count: int = 100
) -> Found:
    """Every class of every proposal above 0.05, suppressed class by class.

    Args:
        proposals: `[n, 4]`.
        scores: `[n, classes + 1]`.
        deltas: `[n, classes, 4]`.
        size: `(height, width)` of the image.
        count: the most detections.
    """
    roi, label = np.nonzero(scores[:, :-1] > 0.05)
    boxes = clip(apply_deltas(proposals[roi], deltas[roi, label], (10, 10, 5, 5)), size)
    kept = batched_nms(boxes, scores[roi, label], label, 0.5)[:count]
    return Found(boxes[kept], label[kept], scores[roi, label][kept])


def paste(mask: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask's value at the middle of each pixel, zeros around it, cut at one half."""
    side = len(mask)
    around = np.pad(mask, 2)
    full = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            v = (y + 0.5 - box[1]) / (box[3] - box[1]) * side - 0.5
            u = (x + 0.5 - box[0]) / (box[2] - box[0]) * side - 0.5
            if -1 < v < side and -1 < u < side:
                top, left = int(np.floor(v)), int(np.floor(u))
                square = around[top + 2 : top + 4, left + 2 : left + 4]
                full[y, x] = np.array([1 - v + top, v - top]) @ square @ np.array([1 - u + left, u - left]) >= 0.5
    return full
