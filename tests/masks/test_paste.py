"""Pasting equals its definition: bilinear sampling at pixel centres, zero outside the mask; on each system's box."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskrcnn_jax.masks.paste import paste_crop, paste_mask, snap


def probability(mask, box, y, x):
    """Bilinear interpolation at one pixel's centre, written out."""
    side = len(mask)
    x0, y0, x1, y1 = box
    u = (x + 0.5 - x0) / (x1 - x0) * side - 0.5
    v = (y + 0.5 - y0) / (y1 - y0) * side - 0.5
    total = 0.0
    for row in (int(np.floor(v)), int(np.floor(v)) + 1):
        for column in (int(np.floor(u)), int(np.floor(u)) + 1):
            if 0 <= row < side and 0 <= column < side:
                total += float(mask[row, column]) * (1 - abs(u - column)) * (1 - abs(v - row))
    return total


def assert_is_definition(mask, box, height, width, threshold=0.5):
    pasted = paste_mask(mask, box, height, width, threshold)
    assert pasted.shape == (height, width) and pasted.dtype == bool
    corners = [float(value) for value in box]
    for y in range(height):
        for x in range(width):
            expected = probability(mask, corners, y, x)
            if abs(expected - threshold) > 1e-5:  # closer, float32 may round to either side
                assert pasted[y, x] == (expected >= threshold), (y, x, expected)


def test_a_two_by_two_mask_by_hand():
    # The box spans x from 1 to 5 and y from 0 to 4 of a 4 × 6 image: 2 pixels per cell. Cell centres are at pixel
    # offsets 1 and 3, pixel centres at 0.5, 1.5, 2.5, 3.5, so in cell units -0.25, 0.25, 0.75, 1.25, and weights of
    # (left, right) cell are (.75, 0) (.75, .25) (.25, .75) (0, .75); half a pixel outside the box (-0.75, 1.75): .25.
    # Only the upper left cell is 1, so the probability is (weight in y) × (weight in x), .75 .75 .25 0 in y and
    # columns (from pixel 0) .25 .75 .75 .25 0 0:  .75 × .75 = .5625 ≥ .5 for the 2 × 2 pixels at (0, 1).
    mask = np.array([[1, 0], [0, 0]], np.float32)
    box = np.array([1, 0, 5, 4], np.float32)
    assert paste_mask(mask, box, 4, 6).astype(int).tolist() == [
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    # With threshold .18 also .25 × .75 = .1875 in row and column beside them; .25 × .25 = .0625 at the corners not.
    assert paste_mask(mask, box, 4, 6, 0.18).astype(int).tolist() == [
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_a_full_mask_fills_its_box():
    pasted = paste_mask(np.ones((28, 28), np.float32), np.array([2, 3, 7, 5], np.float32), 8, 10)
    expected = np.zeros((8, 10), bool)
    expected[3:5, 2:7] = True
    np.testing.assert_array_equal(pasted, expected)


def test_the_threshold_belongs_to_the_mask():
    # One cell over one pixel: the pixel's centre is the cell's centre, its probability is the cell's.
    box = np.array([0, 0, 1, 1], np.float32)
    assert paste_mask(np.full((1, 1), 0.5, np.float32), box, 1, 1).all()
    assert not paste_mask(np.full((1, 1), 0.49, np.float32), box, 1, 1).any()


coordinate = st.floats(-12, 20, width=32)


@settings(max_examples=60, deadline=None)
@given(
    corner=st.tuples(coordinate, coordinate),
    size=st.tuples(st.floats(0.015625, 30, width=32), st.floats(0.015625, 30, width=32)),
    side=st.integers(1, 5),
    image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    threshold=st.sampled_from([0.1, 0.5, 0.9]),
    seed=st.integers(0, 2**16),
)
@example(corner=(3.0, 4.0), size=(1.0, 1.0), side=4, image=(9, 9), threshold=0.5, seed=0)  # one pixel
@example(corner=(20.0, 20.0), size=(2.0, 2.0), side=4, image=(9, 9), threshold=0.5, seed=0)  # outside
@example(corner=(-8.0, -8.0), size=(30.0, 30.0), side=4, image=(9, 9), threshold=0.5, seed=0)  # all around
def test_pasting_is_its_definition(corner, size, side, image, threshold, seed):
    mask = np.random.default_rng(seed).random((side, side), dtype=np.float32)
    box = np.array([*corner, corner[0] + size[0], corner[1] + size[1]], np.float32)
    if box[2] > box[0] and box[3] > box[1]:
        assert_is_definition(mask, box, *image, threshold)


@pytest.mark.parametrize(
    "box",
    [
        [2, 2, 2, 5],  # no width
        [2, 2, 5, 2],  # no height
        [5, 5, 2, 2],  # turned over
        [-9, 0, -4, 5],  # left of the image
        [20, 0, 30, 5],  # right of it
        [0, 40, 5, 50],  # below it
        [np.nan, 0, 5, 5],
        [0, 0, np.inf, 5],
    ],
)
def test_a_box_without_pixels_gives_an_empty_mask(box):
    pasted = paste_mask(np.ones((4, 4), np.float32), np.array(box, np.float32), 8, 10)
    assert pasted.shape == (8, 10) and not pasted.any()


def test_an_enormous_box_covers_the_image_with_its_middle():
    mask = np.zeros((3, 3), np.float32)
    mask[1, 1] = 1
    assert paste_mask(mask, np.array([-1e30, -1e30, 1e30, 1e30], np.float32), 4, 5).all()


def test_a_crop_holds_only_the_box():
    crop = paste_crop(np.ones((4, 4), np.float32), np.array([100, 50, 140, 70], np.float32), 480, 640)
    assert (crop.y, crop.x) == (47, 95)  # half a cell more on each side: 20 / 4 / 2 = 2.5 in y, 40 / 4 / 2 = 5 in x
    assert crop.mask.shape == (26, 50)
    # The outer cells fade towards zero: row weights .6 .8 1 … and column weights .55 .65 .75 .85 … from the corner on.
    # Of their products .6 × (.55, .65, .75) and .8 × .55 are below .5: the box less 4 pixels at each corner.
    assert crop.mask.sum() == 20 * 40 - 4 * 4


def outward(mask, box, height, width):
    """torchvision's way, step by step: probabilities over the image.

    The mask is framed with empty cells, the box grows alike about its centre, its corners lose their fractions, the
    framed mask is resized to whole pixels, the last corner's included, and what lies in the image is copied.
    """
    side = len(mask)
    framed = np.zeros((side + 2, side + 2))
    framed[1:-1, 1:-1] = mask
    corners = []
    for start, end in ((box[0], box[2]), (box[1], box[3])):
        middle, half = (start + end) / 2, (end - start) / 2 * (side + 2) / side
        corners.append((int(middle - half), int(middle + half)))
    (left, right), (top, bottom) = corners
    wide, high = right - left + 1, bottom - top + 1
    image = np.zeros((height, width))
    for row in range(high):
        for column in range(wide):
            if 0 <= top + row < height and 0 <= left + column < width:
                # Resizing repeats the outer cells, which are empty, so beyond their centres there is nothing.
                v = (row + 0.5) * (side + 2) / high - 0.5
                u = (column + 0.5) * (side + 2) / wide - 0.5
                value = 0.0
                for y in range(side + 2):
                    for x in range(side + 2):
                        value += framed[y, x] * max(0, 1 - abs(v - y)) * max(0, 1 - abs(u - x))
                image[top + row, left + column] = value
    return image


eighths = st.integers(-80, 160).map(lambda k: k / 8)


@settings(max_examples=60, deadline=None)
@given(
    corner=st.tuples(eighths, eighths),
    size=st.tuples(st.integers(1, 160), st.integers(1, 160)),
    side=st.sampled_from([1, 2, 4, 8]),  # the growth is exact in float32
    seed=st.integers(0, 2**16),
)
@example(corner=(3.0, 4.0), size=(1, 1), side=8, seed=0)  # an eighth of a pixel
@example(corner=(-8.5, 7.5), size=(100, 40), side=4, seed=0)  # sticks out at the left, where fractions are cut upwards
@example(corner=(18.0, 3.0), size=(20, 9), side=2, seed=0)  # outside
def test_outward_is_its_definition(corner, size, side, seed):
    mask = np.random.default_rng(seed).random((side, side), dtype=np.float32)
    box = np.array([*corner, corner[0] + size[0] / 8, corner[1] + size[1] / 8], np.float32)
    expected = outward(mask.astype(float), box.tolist(), 11, 13)
    pasted = paste_mask(mask, snap(box[None], side, "outward")[0], 11, 13)
    sure = np.abs(expected - 0.5) > 1e-5  # closer, float32 may round to either side
    np.testing.assert_array_equal(pasted[sure], (expected >= 0.5)[sure])


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        ([10.3, 20.7, 35.2, 41.9], [9, 19, 36, 42]),
        ([-3.4, 2, 8.2, 9.9], [-3, 1, 8, 10]),
        ([100.5, 50.25, 101.2, 50.75], [100, 50, 101, 50]),
        ([0, 0, 14, 28], [0, -1, 14, 29]),  # 7 - 7.5 is cut to 0
        ([5, 5, 33, 61], [4, 3, 34, 63]),
        ([300.1, -20.7, 420.6, 80.2], [295, -24, 424, 83]),
    ],
)
def test_outward_corners_are_those_that_torchvision_gave(box, whole):
    """`expand_boxes(box, 30 / 28).to(int64)` of torchvision 0.29, for masks of 28 cells."""
    x0, y0, x1, y1 = whole
    wide, high = (x1 + 1 - x0) / 30, (y1 + 1 - y0) / 30  # of a cell
    found = snap(np.array([box], np.float32), 28, "outward")[0]
    np.testing.assert_allclose(found, [x0 + wide, y0 + high, x1 + 1 - wide, y1 + 1 - high], atol=1e-9)
    # A float64 box is looked at in float32, too.
    np.testing.assert_array_equal(snap(np.array([box], np.float64), 28, "outward")[0], found)


def test_rounded_by_hand():
    # x 2.6 … 6.4 becomes 3 … 6, y 1.5 … 4.5 becomes 2 … 4, since halves go to the even number.
    boxes = np.array([[2.6, 1.5, 6.4, 4.5], [3.2, 3.2, 3.4, 8.0]])
    found = snap(boxes, 28, "rounded")
    assert found.tolist() == [[3, 2, 6, 4], [3, 3, 3, 8]]
    expected = np.zeros((8, 10), bool)
    expected[2:4, 3:6] = True
    np.testing.assert_array_equal(paste_mask(np.ones((28, 28), np.float32), found[0], 8, 10), expected)
    assert not paste_mask(np.ones((28, 28), np.float32), found[1], 8, 10).any()


def test_exact_changes_nothing():
    boxes = np.array([[2.6, -1.5, 6.4, 4.5]], np.float32)
    np.testing.assert_array_equal(snap(boxes, 28, "exact"), boxes)


@pytest.mark.parametrize("rule", ["exact", "outward", "rounded"])
def test_no_boxes(rule):
    assert snap(np.zeros((0, 4), np.float32), 28, rule).shape == (0, 4)
