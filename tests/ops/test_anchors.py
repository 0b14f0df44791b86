"""Anchors compared with those of Detectron2 and torchvision for the same sizes."""

import numpy as np
import pytest

from maskrcnn_jax.ops.anchors import cell_anchors, grid_anchors

RATIOS = (0.5, 1.0, 2.0)


def test_cell_anchors_are_those_of_detectron2():
    # 32 / √½ = 45.2548 wide and 32 · √½ = 22.6274 high, halved.
    expected = [[-22.627417, -11.313708, 22.627417, 11.313708], [-16, -16, 16, 16]]
    expected.append([-11.313708, -22.627417, 11.313708, 22.627417])
    anchors = cell_anchors(32.0, RATIOS)
    np.testing.assert_allclose(anchors, expected, rtol=1e-6)
    assert anchors.dtype == np.float32


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (32.0, [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]),
        (64.0, [[-45, -23, 45, 23], [-32, -32, 32, 32], [-23, -45, 23, 45]]),
        (512.0, [[-362, -181, 362, 181], [-256, -256, 256, 256], [-181, -362, 181, 362]]),
    ],
)
def test_rounded_cell_anchors_are_those_of_torchvision(size, expected):
    np.testing.assert_array_equal(cell_anchors(size, RATIOS, rounded=True), expected)


def test_halves_are_rounded_to_even_as_in_torchvision():
    # Corners at 2.5 and 1.5: both go to 2.
    np.testing.assert_array_equal(cell_anchors(5.0, (1.0,), rounded=True), [[-2, -2, 2, 2]])
    np.testing.assert_array_equal(cell_anchors(3.0, (1.0,), rounded=True), [[-2, -2, 2, 2]])


def test_area_and_shape_of_cell_anchors():
    ratios = (0.3, 0.5, 1.0, 1.7, 4.0)
    x0, y0, x1, y1 = cell_anchors(48.0, ratios).T
    np.testing.assert_allclose((x1 - x0) * (y1 - y0), np.full(5, 48.0**2), rtol=1e-5)
    np.testing.assert_allclose((y1 - y0) / (x1 - x0), ratios, rtol=1e-5)
    np.testing.assert_array_equal(x0, -x1)
    np.testing.assert_array_equal(y0, -y1)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_grid_is_ordered_by_row_column_and_ratio(offset):
    cell = cell_anchors(16.0, RATIOS)
    expected = []
    for row in range(2):
        for column in range(3):
            for x0, y0, x1, y1 in cell:
                x, y = (column + offset) * 4, (row + offset) * 8
                expected.append([x0 + x, y0 + y, x1 + x, y1 + y])
    anchors = grid_anchors(cell, 2, 3, stride=(8.0, 4.0), offset=offset)
    np.testing.assert_allclose(anchors, expected, rtol=1e-6)
    assert anchors.dtype == np.float32


def test_first_anchor_is_centred_on_the_corner_of_the_image():
    np.testing.assert_array_equal(grid_anchors(cell_anchors(32.0, (1.0,)), 1, 1, (4.0, 4.0)), [[-16, -16, 16, 16]])


def test_grid_of_no_cells_is_empty():
    assert grid_anchors(cell_anchors(32.0, RATIOS), 0, 5, (4.0, 4.0)).shape == (0, 4)
