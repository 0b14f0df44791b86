"""Tracks objects from frame to frame by the IoU of their boxes."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.masks.boxes import box_iou

MIN_IOU = 0.3
"""Least IoU of an object's boxes in two frames."""
MEMORY = 10
"""Frames for which an object that is not detected keeps its number."""


class Track(NamedTuple):
    """An object and its last detection."""

    number: int
    label: int
    box: Float[np.ndarray, "4"]
    """Pixels."""
    unseen: int
    """Frames since then."""


class Tracks(NamedTuple):
    """The objects that are tracked."""

    current: tuple[Track, ...] = ()
    started: int = 0
    """Number of objects so far, and the number of the next one."""


def follow(
    tracks: Tracks, boxes: Float[np.ndarray, "n 4"], labels: Int[np.ndarray, " n"]
) -> tuple[Tracks, Int[np.ndarray, " n"]]:
    """Assigns the objects of the next frame to tracks; objects without a track start a new one.

    Objects and tracks of one class are matched greedily by the IoU of their boxes, the highest first.

    Args:
        tracks: After the frames so far; `Tracks()` before the first.
        boxes: Of the next frame, pixels.
        labels: Of the next frame.

    Returns:
        The tracks after that frame, and the objects' numbers.
    """
    numbers = np.full(len(boxes), -1)
    found: set[int] = set()
    known = np.array([track.box for track in tracks.current]).reshape(-1, 4)
    iou = box_iou(known, boxes) * (np.array([track.label for track in tracks.current], int)[:, None] == labels)
    for old, new in zip(*np.unravel_index(np.argsort(-iou, axis=None, kind="stable"), iou.shape), strict=True):
        if iou[old, new] < MIN_IOU:
            break
        if numbers[new] < 0 and old not in found:
            numbers[new] = tracks.current[old].number
            found.add(old)
    fresh = numbers < 0
    numbers[fresh] = tracks.started + np.arange(fresh.sum())
    seen = [Track(*each, 0) for each in zip(numbers.tolist(), labels.tolist(), boxes, strict=True)]
    lost = [track._replace(unseen=track.unseen + 1) for i, track in enumerate(tracks.current) if i not in found]
    current = [*seen, *(track for track in lost if track.unseen <= MEMORY)]
    return Tracks(tuple(current), tracks.started + int(fresh.sum())), numbers


def keep_colors(colors: dict[int, int], numbers: Sequence[int]) -> dict[int, int]:
    """Colour indices of objects by number: each keeps its own, and a new one takes the first that is free.

    Args:
        colors: So far.
        numbers: Of the objects that are tracked; the colours of others become free.
    """
    kept = {number: colors[number] for number in numbers if number in colors}
    for number in numbers:
        if number not in kept:
            kept[number] = next(color for color in itertools.count() if color not in kept.values())
    return kept
