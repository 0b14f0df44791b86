"""Matterport's detection in NumPy, from the facts in its source: boxes are (y1, x1, y2, x2), normalised.

A normalised box is `(pixels - (0, 0, 1, 1)) / (side - 1)`: 0 is the middle of the first pixel, 1 that of the last.
"""

from typing import NamedTuple

import numpy as np
from keras_network import Keras

STD = np.array([0.1, 0.1, 0.2, 0.2])


class Settings(NamedTuple):
    """The names of Matterport's configuration in small letters."""

    pre_nms_limit: int = 6000
    post_nms_rois: int = 1000
    rpn_nms: float = 0.7
    min_confidence: float = 0.7
    detection_nms: float = 0.3
    max_instances: int = 100


class Found(NamedTuple):
    """Detections, best first."""

    boxes: np.ndarray
    """`[n, 4]` normalised."""
    classes: np.ndarray
    """Background is 0."""
    scores: np.ndarray


def normalise(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    return (boxes - np.array([0, 0, 1, 1])) / np.array([height - 1, width - 1, height - 1, width - 1])


def denormalise(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To whole pixels."""
    height, width = shape
    scale = np.array([height - 1, width - 1, height - 1, width - 1])
    return np.around(boxes * scale + np.array([0, 0, 1, 1])).astype(int)


def anchors(shape: tuple[int, int]) -> np.ndarray:
    """Level by level, row by row, for the ratios of width to height 0.5, 1, 2."""
    boxes = []
    for size, stride in ((32, 4), (64, 8), (128, 16), (256, 32), (512, 64)):
        for row in range(-(-shape[0] // stride)):
            for column in range(-(-shape[1] // stride)):
                for ratio in (0.5, 1, 2):
                    height, width = size / np.sqrt(ratio), size * np.sqrt(ratio)
                    y, x = row * stride, column * stride
                    boxes.append((y - height / 2, x - width / 2, y + height / 2, x + width / 2))
    return normalise(np.array(boxes), shape)


def apply_deltas(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """No bound on the growth of a side."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + 0.5 * sides + deltas[:, :2] * sides
    sides = sides * np.exp(deltas[:, 2:])
    return np.concatenate([centres - 0.5 * sides, centres + 0.5 * sides], axis=1)


def clip(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    return np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    shared = np.prod(np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0), axis=1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (box, others)]
    union = areas[0] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float, count: int) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if len(kept) < count and not (kept and (iou(boxes[i], boxes[kept]) > threshold).any()):
            kept.append(int(i))
    return kept


def propose(scores: np.ndarray, deltas: np.ndarray, start: np.ndarray, settings: Settings) -> np.ndarray:
    """`ProposalLayer`: the best anchors of all levels together, in one suppression."""
    best = np.argsort(-scores, kind="stable")[: settings.pre_nms_limit]
    boxes = clip(apply_deltas(start[best], deltas[best] * STD), np.array([0, 0, 1, 1]))
    return boxes[suppress(boxes, scores[best], settings.rpn_nms, settings.post_nms_rois)]


def level_of(box: np.ndarray, shape: tuple[int, int]) -> int:
    """2 … 5: the nearest to `4 + log2(side / 224 pixels)`, sides and pixels being shares of the image."""
    side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    if side <= 0:
        return 2
    return int(np.clip(4 + np.round(np.log2(side / (224 / np.sqrt(shape[0] * shape[1])))), 2, 5))


def crop_and_resize(level: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """TensorFlow's: one bilinear sample per cell of a grid whose corners are the box's, 0 outside."""
    height, width = level.shape[:2]
    out = np.zeros((size, size, level.shape[2]))
    for i in range(size):
        for j in range(size):
            y = (box[0] + i * (box[2] - box[0]) / (size - 1)) * (height - 1)
            x = (box[1] + j * (box[3] - box[1]) / (size - 1)) * (width - 1)
            # In exact arithmetic the last sample of a box that ends on the border lies on it, not beyond.
            y, x = (round(v, 9) for v in (y, x))
            if 0 <= y <= height - 1 and 0 <= x <= width - 1:
                top, left = int(y), int(x)
                bottom, right = int(np.ceil(y)), int(np.ceil(x))
                above = level[top, left] + (level[top, right] - level[top, left]) * (x - left)
                below = level[bottom, left] + (level[bottom, right] - level[bottom, left]) * (x - left)
                out[i, j] = above + (below - above) * (y - top)
    return out


def roi_align(levels: list[np.ndarray], box: np.ndarray, size: int, shape: tuple[int, int]) -> np.ndarray:
    """`PyramidROIAlign` of one box."""
    return crop_and_resize(levels[level_of(box, shape) - 2], box, size)


def detect(
    rois: np.ndarray, probabilities: np.ndarray, deltas: np.ndarray, window: np.ndarray, settings: Settings
) -> Found:
    """`DetectionLayer`: each roi has one class at most, its likeliest."""
    classes = probabilities.argmax(axis=1)
    every = np.arange(len(rois))
    scores = probabilities[every, classes]
    boxes = clip(apply_deltas(rois, deltas[every, classes] * STD), window)
    passes = (classes > 0) & (scores >= settings.min_confidence)
    kept = []
    for label in np.unique(classes[passes]):
        own = np.flatnonzero(passes & (classes == label))
        kept += list(own[suppress(boxes[own], scores[own], settings.detection_nms, settings.max_instances)])
    kept = sorted(kept, key=lambda i: -scores[i])[: settings.max_instances]
    return Found(boxes[kept], classes[kept], scores[kept])


def paste(mask: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask resized to a box of whole pixels (bilinear, zeros around it) and cut at one half."""
    y1, x1, y2, x2 = box
    around = np.pad(mask, 1)
    full = np.zeros((height, width), bool)
    for y in range(y1, y2):
        for x in range(x1, x2):
            # Where the middle of the pixel lies in the mask, whose first cell is `around[1, 1]`.
            v = (y - y1 + 0.5) * mask.shape[0] / (y2 - y1) + 0.5
            u = (x - x1 + 0.5) * mask.shape[1] / (x2 - x1) + 0.5
            top, left = int(v), int(u)
            a, b = v - top, u - left
            square = around[top : top + 2, left : left + 2]
            full[y, x] = np.array([1 - a, a]) @ square @ np.array([1 - b, b]) >= 0.5
    return full


def unmold(
    found: Found, masks: np.ndarray, window: np.ndarray, shape: tuple[int, int], original: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in whole pixels of the original image, and masks over it.

    Args:
        found: detections.
        masks: `[n, 28, 28]` of their own classes.
        window: (y1, x1, y2, x2) of the image in the padded square, pixels.
        shape: of the padded square.
        original: of the original image.
    """
    inside = normalise(window, shape)
    boxes = (found.boxes - np.tile(inside[:2], 2)) / np.tile(inside[2:] - inside[:2], 2)
    boxes = denormalise(boxes, original)
    pasted = [paste(mask, box, *original) for mask, box in zip(masks, boxes, strict=True)]
    return boxes, np.array(pasted, bool).reshape(-1, *original)


def run_rpn(keras: Keras, levels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The probability of an object, and the deltas, of every anchor."""
    scores, deltas = zip(*(keras.rpn(level) for level in levels), strict=True)
    return np.concatenate(scores)[:, 1], np.concatenate(deltas)
