import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.transforms.masks import crop_mask


def box(*corners: float) -> np.ndarray:
    return np.array(corners, np.float64)


def test_cells_that_are_pixels_copy_the_mask():
    mask = np.random.default_rng(0).integers(0, 2, (9, 8), np.uint8)
    np.testing.assert_array_equal(crop_mask(mask, box(2, 3, 6, 7), 4), mask[3:7, 2:6])


def test_reduced_mask_sets_cells_that_are_at_least_half_covered():
    # Cells of 2 × 2 pixels hold 4, 2 / 1, 0 set pixels: covered 1, 1/2 / 1/4, 0.
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    np.testing.assert_array_equal(crop_mask(mask, box(0, 0, 4, 4), 2), [[1, 1], [0, 0]])


def test_enlarged_edge_stays_where_it_is():
    # The left half of the mask is set; bilinear interpolation crosses 1/2 at the border between the pixels.
    mask = np.zeros((4, 4), np.uint8)
    mask[:, :2] = 1
    expected = np.zeros((16, 16), np.uint8)
    expected[:, :8] = 1
    np.testing.assert_array_equal(crop_mask(mask, box(0, 0, 4, 4), 16), expected)


def test_fractional_box():
    # Columns 2 … 5 are set. The box starts half a pixel before and ends half a pixel behind them: 5 pixels wide, of
    # which each of the 10 cells takes half a pixel; the first and the last lie outside the object.
    mask = np.zeros((10, 10), np.uint8)
    mask[:, 2:6] = 1
    crop = crop_mask(mask, box(1.5, 2.5, 6.5, 7.5), 10)
    np.testing.assert_array_equal(crop, np.tile([0, 1, 1, 1, 1, 1, 1, 1, 1, 0], (10, 1)).astype(np.uint8))


@pytest.mark.parametrize("corner", [(0, 0), (4, 2), (9, 7)])
def test_one_pixel_fills_its_box(corner):
    x, y = corner
    mask = np.zeros((8, 10), np.uint8)
    mask[y, x] = 1
    crop = crop_mask(mask, box(x, y, x + 1, y + 1), 28)
    # Interpolation rounds the corners of the pixel off; nothing is lost in its middle and at its edges.
    assert crop[14].all() and crop[:, 14].all()
    assert crop.mean() > 0.5


@pytest.mark.parametrize("side", [0.25, 1.0, 3.7])
def test_tiny_box_inside_an_object_is_full(side):
    assert crop_mask(np.ones((10, 10), np.uint8), box(4.1, 4.1, 4.1 + side, 4.1 + side), 112).all()


def test_a_hair_is_not_lost():
    # A line of one pixel in an object of 300: covers a third of the cells it runs through, never half of one.
    mask = np.zeros((300, 300), np.uint8)
    mask[:, 151] = 1
    crop = crop_mask(mask, box(0, 0, 300, 300), 100)
    np.testing.assert_array_equal(np.flatnonzero(crop.any(axis=0)), [50])
    assert crop[:, 50].all()


def test_no_pixel_in_the_box_gives_zeros():
    mask = np.zeros((20, 20), np.uint8)
    mask[:5, :5] = 1
    assert not crop_mask(mask, box(10, 10, 15, 15), 14).any()


@pytest.mark.parametrize("side", [30, 90, 200, 400])
def test_pasting_the_crop_back_gives_the_mask(side):
    mask = np.zeros((480, 640), np.uint8)
    cv2.ellipse(mask, (320, 240), (side // 2, side // 3), 30, 0, 360, 1, cv2.FILLED)
    x, y, width, height = cv2.boundingRect(mask)
    crop = crop_mask(mask, box(x, y, x + width, y + height), 112)
    pasted = cv2.resize(crop.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    true = mask[y : y + height, x : x + width].astype(bool)
    assert (pasted & true).sum() / (pasted | true).sum() > 0.97
