"""Tags find the place that hides least, each worked out by hand."""

import numpy as np
import pytest

from maskrcnn_jax.draw.label_layout import find_position

WINDOW = (0.0, 0.0, 100.0, 80.0)
BOX = [40.0, 30, 60, 50]
SIZE = (30.0, 10.0)
NONE = np.zeros((0, 4))


def place(box, *others, taken=NONE):
    found = find_position(np.array(box), SIZE, WINDOW, np.array([box, *others], float), np.array(taken, float))
    return None if found is None else found.tolist()


def test_above_if_nothing_is_there():
    assert place(BOX) == [40, 20, 70, 30]


def test_over_no_other_box():
    above, below = [30, 10, 80, 29], [30, 51, 80, 70]
    assert place(BOX, above) == [40, 50, 70, 60]  # below
    assert place(BOX, above, below) == [60, 30, 90, 40]  # on the right
    assert place(BOX, above, below, [75, 0, 80, 80]) == [10, 30, 40, 40]  # on the left


def test_else_it_hides_the_least_shares():
    # Above stands all of a small object, 80 pixels; on each side the tag hides half of 200; below 300 of 3000.
    small, left, right, large = [40, 25, 60, 29], [30, 30, 40, 50], [60, 30, 70, 50], [0, 50, 100, 80]
    assert place(BOX, small, left, right, large) == [40, 50, 70, 60]


def test_its_own_box_is_covered_only_if_there_is_no_other_place():
    all_around = [[0, 0, 100, 29], [0, 51, 100, 80], [61, 0, 100, 80], [0, 0, 39, 80]]
    x0, y0, x1, y1 = place(BOX, *all_around)
    assert x1 <= 40 or x0 >= 60 or y1 <= 30 or y0 >= 50
    assert place([0, 0, 100, 80]) == [0, 0, 30, 10]


def test_positions_are_inside_the_window():
    assert place([90, 0, 100, 10]) == [70, 10, 100, 20]  # below, moved to the left
    assert place([-50, -50, -10, -10]) == [0, 0, 30, 10]


def test_no_tag_covers_another():
    taken = [[40, 20, 70, 30]]
    assert place(BOX, taken=taken) == [40, 50, 70, 60]
    assert place(BOX, taken=[[0, 0, 100, 80]]) is None


@pytest.mark.parametrize("shift", [0.1, 0.3, 1e3 / 3])
def test_tags_that_touch_share_nothing(shift):
    box = np.array([10, 30, 30, 50]) + shift
    window = (0.0, 0.0, 1000.0, 1000.0)
    first = find_position(box, (20.0, 10.1), window, box[None], NONE)
    np.testing.assert_allclose(first, np.array([10, 19.9, 30, 30]) + shift)
    second = find_position(box - (0, 10.1, 0, 10.1), (20.0, 10.1), window, NONE, first[None])
    np.testing.assert_allclose(second, np.array([10, 9.8, 30, 19.9]) + shift)
