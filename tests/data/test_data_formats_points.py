import json
import math

import numpy as np
import pytest

from maskrcnn_jax.data.prepare.formats.points import Malformed, encloses_nothing, pair_points, read_number, read_points

SIZE = (10, 12)


def test_points_in_both_forms():
    np.testing.assert_array_equal(read_points([[1, 2.5], [3, -4]], SIZE), [[1, 2.5], [3, -4]])
    np.testing.assert_array_equal(pair_points([1, 3], [2.5, -4], SIZE), [[1, 2.5], [3, -4]])
    assert read_points([], SIZE).shape == (0, 2)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "points are null, not a list"),
        ("[[1, 2]]", "points are '.*', not a list"),
        ({"0": [1, 2]}, "not a list"),
        ([None], r"point 0 is null, not \[x, y\]"),
        ([[1, 2], [3]], r"point 1 is \[3\], not \[x, y\]"),
        ([[1, 2, 3]], r"point 0 is \[1, 2, 3\]"),
        ([[1, "2"]], "y of point 0 is '2', no finite number"),
        ([[1, None]], "y of point 0 is null"),
        ([[True, 1]], "x of point 0 is true"),
        ([[[1], 2]], r"x of point 0 is \[1\]"),
        ([[1, math.nan]], "y of point 0 is nan"),
        ([[-math.inf, 1]], "x of point 0 is -inf"),
        ([[10**400, 1]], "x of point 0 is .*, no finite number"),
        (json.loads("[" * 90 + "]" * 90), "point 0 is"),
        ([[5, 5], [1e8, 5]], r"point 1 is \(1e\+08, 5\), far outside the image of 12×10 pixels \(width×height\)"),
        ([[5, -12.5]], "far outside"),
        ([[0.1, 0.2], [0.4, 0.9]], "coordinates between 0 and 1, as if normalised"),
    ],
)
def test_what_is_no_list_of_points_near_the_image(value: object, complaint: str):
    with pytest.raises(Malformed, match=complaint):
        read_points(value, SIZE)


def test_points_may_leave_the_image_by_its_longer_side():
    assert read_points([[-12, -12], [24, 24]], SIZE).tolist() == [[-12, -12], [24, 24]]


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1]), ([1], 2), (None, [1]), ({"0": 1}, [1])])
def test_lists_that_do_not_belong_together(x: object, y: object):
    with pytest.raises(Malformed):
        pair_points(x, y, SIZE)


@pytest.mark.parametrize("value", [None, "3", True, [3], {}, math.inf, 10**400])
def test_what_is_no_number(value: object):
    with pytest.raises(Malformed, match=r"radius is .*, no finite number"):
        read_number(value, "radius")


def test_three_different_points_enclose_something():
    assert encloses_nothing(np.zeros((0, 2)))
    assert encloses_nothing(np.array([[1, 1], [2, 3], [1, 1], [2, 3.0]]))
    assert not encloses_nothing(np.array([[1, 1], [2, 3], [1, 1], [1, 2.0]]))
