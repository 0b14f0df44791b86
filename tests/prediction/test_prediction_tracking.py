"""Objects keep their numbers while they move, disappear and reappear."""

import numpy as np
import pytest

from maskrcnn_jax.prediction.tracking import MEMORY, MIN_IOU, Tracks, follow, keep_colors

A, B = [0.0, 0, 10, 10], [100.0, 0, 110, 10]


def frame(tracks, *objects):
    boxes = np.array([box for box, _ in objects], float).reshape(-1, 4)
    tracks, numbers = follow(tracks, boxes, np.array([label for _, label in objects], int))
    return tracks, numbers.tolist()


def test_objects_keep_their_numbers_in_any_order():
    tracks, numbers = frame(Tracks(), (A, 0), (B, 0))
    assert numbers == [0, 1]
    tracks, numbers = frame(tracks, (B, 0), (A, 0))
    assert numbers == [1, 0]
    tracks, numbers = frame(tracks, ([50, 50, 60, 60], 0), (A, 0), (B, 0))
    assert numbers == [2, 0, 1]


def test_an_object_in_motion_is_tracked():
    tracks = Tracks()
    for x in range(0, 60, 4):  # each step leaves IoU 6 / 14 = .43, above .3
        tracks, numbers = frame(tracks, ([x, 0, x + 10, 10], 1))
        assert numbers == [0]
    tracks, numbers = frame(tracks, ([62, 0, 72, 10], 1))  # from 56: IoU 4 / 16 = .25
    assert MIN_IOU == 0.3 and numbers == [1]


def test_another_class_is_another_object():
    tracks, _ = frame(Tracks(), (A, 0))
    assert frame(tracks, (A, 1))[1] == [1]


def test_the_best_pair_comes_first():
    tracks, _ = frame(Tracks(), ([0, 0, 10, 10], 0), ([3, 0, 13, 10], 0))
    # IoU of the first with the tracks: 8/12 and 9/11; of the second 5/15 = .33 and 8/12. It takes what is left.
    assert frame(tracks, ([2, 0, 12, 10], 0), ([5, 0, 15, 10], 0))[1] == [1, 0]


@pytest.mark.parametrize(("hidden", "expected"), [(1, 0), (MEMORY, 0), (MEMORY + 1, 1)])
def test_an_object_is_remembered_for_some_frames(hidden, expected):
    tracks, _ = frame(Tracks(), (A, 0))
    for _ in range(hidden):
        tracks, numbers = frame(tracks)
        assert numbers == []
    assert frame(tracks, (A, 0))[1] == [expected]


def test_empty_boxes_are_not_tracked():
    tracks, _ = frame(Tracks(), ([5, 5, 5, 5], 0))
    assert frame(tracks, ([5, 5, 5, 5], 0))[1] == [1]


def test_colours_stay_and_none_is_given_twice():
    colors = keep_colors({}, range(9))
    assert colors == {number: number for number in range(9)}
    # 1 and 2 left; 9 and 10 take their colours, 11 one that was never given.
    assert keep_colors(colors, [3, 0, 9, 10, 4, 5, 6, 7, 8, 11]) == {
        **{number: number for number in (0, 3, 4, 5, 6, 7, 8)},
        **{9: 1, 10: 2, 11: 9},
    }
