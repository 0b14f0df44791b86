"""Pixels of the image and of the network, by hand and there and back."""

import numpy as np
import pytest

from maskrcnn_jax.prediction.coordinates import to_image_coords, to_input_coords

SIZE, SCALE = (50, 100), (2.0, 4.0)
"""100 pixels wide, shown 200 wide; 50 high, shown 200 high."""


def test_continuous_boxes_are_scaled_and_clipped():
    boxes = np.array([[10.0, 20, 30, 40.5], [-4, 0, 120, 50]])
    inside = to_input_coords(boxes, SIZE, SCALE, inclusive=False)
    np.testing.assert_allclose(inside, [[20, 80, 60, 162], [-8, 0, 240, 200]])
    np.testing.assert_allclose(
        to_image_coords(inside, SIZE, SCALE, inclusive=False), [[10, 20, 30, 40.5], [0, 0, 100, 50]]
    )


def test_inclusive_boxes_count_between_the_first_pixel_and_the_last():
    # The whole image ends on its last pixel, 99 and 49, which is the network's last, 199 and 199.
    inside = to_input_coords(np.array([[0.0, 0, 100, 50]]), SIZE, SCALE, inclusive=True)
    np.testing.assert_allclose(inside, [[0, 0, 199, 199]])
    # From 33 to 65: a third and two thirds of the 99 steps, so 199 / 3 and 2 · 199 / 3 · 65 / 66 there.
    inside = to_input_coords(np.array([[33.0, 0, 66, 50]]), SIZE, SCALE, inclusive=True)
    np.testing.assert_allclose(inside, [[199 / 3, 0, 65 * 199 / 99, 199]])
    # 0.4 network pixels are 0.4 · 99 / 199 = 0.199 here: whole pixels come out.
    moved = to_image_coords(inside + 0.4, SIZE, SCALE, inclusive=True)
    np.testing.assert_array_equal(moved, [[33, 0, 66, 50]])


@pytest.mark.parametrize("inclusive", [False, True])
def test_there_and_back(inclusive: bool):
    rng = np.random.default_rng(0)
    start = rng.integers(0, 40, (50, 2))
    boxes = np.concatenate([start, start + rng.integers(1, 10, (50, 2))], axis=1).astype(np.float64)
    inside = to_input_coords(boxes, (50, 60), (1.7, 1.74), inclusive)
    np.testing.assert_allclose(to_image_coords(inside, (50, 60), (1.7, 1.74), inclusive), boxes, atol=1e-9)
