"""Mask targets compared with sums over samples, and with masks whose share of a bin is known."""

import hypothesis.extra.numpy as hnp
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops.masks import crop_masks

jitted = jax.jit(crop_masks, static_argnums=(3, 4))


def crop(mask, extent, box, size, samples):
    """One mask at a time."""
    mask, extent, box = np.asarray(mask, np.uint8), np.float32(extent), np.float32(box)
    return np.asarray(jitted(mask[None], extent[None], box[None], size, samples)[0])


def bilinear(mask, y, x):
    """The mask at a point given in cells; cell i is centred on i + ½; nothing outside."""
    cells = len(mask)
    if not (0 <= y <= cells and 0 <= x <= cells):
        return 0.0
    y, x = min(max(y - 0.5, 0.0), cells - 1.0), min(max(x - 0.5, 0.0), cells - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, cells - 1), min(left + 1, cells - 1)
    dy, dx = y - top, x - left
    upper = mask[top, left] * (1 - dx) + mask[top, right] * dx
    lower = mask[bottom, left] * (1 - dx) + mask[bottom, right] * dx
    return upper * (1 - dy) + lower * dy


def define_crop(mask, extent, box, size, samples):
    """The mean of `samples` × `samples` bilinear samples in each bin."""
    mask, cells = np.asarray(mask, float), len(mask)
    x0, y0, x1, y1 = (float(v) for v in extent)
    result = np.zeros((size, size))
    for i in range(size * samples):
        for j in range(size * samples):
            y = float(box[1]) + (i + 0.5) / (size * samples) * (float(box[3]) - float(box[1]))
            x = float(box[0]) + (j + 0.5) / (size * samples) * (float(box[2]) - float(box[0]))
            value = bilinear(mask, (y - y0) / (y1 - y0) * cells, (x - x0) / (x1 - x0) * cells)
            result[i // samples, j // samples] += value / samples**2
    return result


MASK = [
    [1, 0, 0, 1],
    [1, 1, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 1],
]
EXTENT = (8.0, 16.0, 16.0, 24.0)
"""Each of the 4 × 4 cells is two pixels wide."""


def test_cropping_to_the_extent_returns_the_mask():
    # One sample per bin lies on the centre of each cell.
    np.testing.assert_array_equal(crop(MASK, EXTENT, EXTENT, 4, 1), MASK)


def test_bins_average_their_samples():
    # Two samples per axis and bin lie on the centres of 2 × 2 cells: 3, 1, 1 and 2 of four are set.
    np.testing.assert_allclose(crop(MASK, EXTENT, EXTENT, 2, 2), [[0.75, 0.25], [0.25, 0.5]], rtol=1e-6)


def test_part_of_the_extent():
    # The lower left quarter, cell for cell.
    np.testing.assert_array_equal(crop(MASK, EXTENT, (8, 20, 12, 24), 2, 1), [[0, 1], [0, 0]])


def test_between_two_centres_the_mask_is_interpolated():
    # One bin around the corner that cells (0, 0) … (1, 1) share: (1 + 0 + 1 + 1) / 4.
    np.testing.assert_allclose(crop(MASK, EXTENT, (9, 17, 11, 19), 1, 1), [[0.75]], rtol=1e-6)


def test_what_lies_outside_the_extent_is_empty():
    full = np.ones((4, 4), np.uint8)
    # The right half of the box leaves the extent, then the upper half, then all of it.
    np.testing.assert_array_equal(crop(full, EXTENT, (12, 16, 20, 24), 2, 2), [[1, 0], [1, 0]])
    np.testing.assert_array_equal(crop(full, EXTENT, (8, 8, 16, 24), 2, 2), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(crop(full, EXTENT, (100, 100, 120, 120), 2, 2), np.zeros((2, 2)))


@pytest.mark.parametrize("cells", [1, 4])
def test_full_mask_gives_the_covered_share(cells):
    # A quarter of the first bin's width lies outside: one of its four samples per row.
    pooled = crop(np.ones((cells, cells)), (0, 0, 8, 8), (-1, 0, 7, 8), 2, 4)
    np.testing.assert_allclose(pooled, [[0.75, 1], [0.75, 1]], rtol=1e-6)


def test_mask_of_one_cell():
    np.testing.assert_array_equal(crop([[1]], (3, 3, 4, 4), (3, 3, 4, 4), 3, 2), np.ones((3, 3)))
    # A box three times as long with the object in the middle.
    expected = np.zeros((3, 3))
    expected[1, 1] = 1
    np.testing.assert_array_equal(crop([[1]], (3, 3, 4, 4), (2, 2, 5, 5), 3, 2), expected)


def test_each_box_has_its_own_mask_and_extent():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (5, 6, 6)).astype(np.uint8)
    corner = rng.integers(0, 20, (5, 2))
    extent = np.concatenate([corner, corner + rng.integers(4, 30, (5, 2))], axis=1).astype(np.float32)
    boxes = (extent + rng.uniform(-3, 3, (5, 4))).astype(np.float32)
    expected = [define_crop(m, e, b, 7, 2) for m, e, b in zip(masks, extent, boxes, strict=True)]
    np.testing.assert_allclose(jitted(masks, extent, boxes, 7, 2), expected, atol=1e-4)


# With an extent of side 8 for 4 cells and a 3 × 2 sampling grid, samples lie on multiples of 1/12 pixel. Corners 1/64
# off the whole pixels keep them away from the edge of the extent, where the definition jumps.
corners = hnp.arrays(np.float32, (2, 2), elements=st.integers(-2, 26).map(lambda i: i + 1 / 64))


@given(hnp.arrays(np.uint8, (4, 4), elements=st.integers(0, 1)), corners)
def test_any_box_equals_the_definition(mask, corners):
    # Corners in either order: boxes without area and beside the extent come up often.
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    np.testing.assert_allclose(crop(mask, EXTENT, box, 3, 2), define_crop(mask, EXTENT, box, 3, 2), atol=1e-5)


def test_without_a_count_each_side_takes_as_many_samples_as_it_needs():
    rng = np.random.default_rng(1)
    mask = rng.integers(0, 2, (9, 9)).astype(np.uint8)
    # 3 bins: sides of 10, 3 and 0.5 pixels take ⌈10 / 3⌉ = 4, 1 and 1 samples, along each axis for itself.
    for box, samples in (((2, 5, 12, 15), 4), ((4, 4, 7, 7), 1), ((4, 4, 4.5, 4.5), 1)):
        extent = (0, 0, 18, 18)
        np.testing.assert_allclose(crop(mask, extent, box, 3, 0), define_crop(mask, extent, box, 3, samples), atol=1e-5)
    # A mask that is constant along x does not depend on the number of samples along x.
    constant = np.repeat(mask[:, :1], 9, axis=1)
    np.testing.assert_allclose(
        crop(constant, (0, 0, 18, 18), (3, 2, 9, 12), 3, 0),
        define_crop(constant, (0, 0, 18, 18), (3, 2, 9, 12), 3, 4),
        atol=1e-5,
    )


def framed(rng, side):
    """A random object of 6 × 6 pixels and an empty frame around it, somewhere in an image: crop, extent, whole."""
    own = np.zeros((8, 8), np.uint8)
    own[1:-1, 1:-1] = rng.integers(0, 2, (6, 6))
    x, y = rng.integers(0, side - 8, 2)
    image = np.zeros((side, side), np.uint8)
    image[y : y + 8, x : x + 8] = own
    return own, np.float32([x, y, x + 8, y + 8]), image


def test_crop_and_full_image_agree():
    rng = np.random.default_rng(3)
    for _ in range(20):
        own, extent, image = framed(rng, 24)
        # Around the object, partly beside it; the frame makes the two masks equal between pixel centres too.
        box = extent + rng.uniform(-6, 6, 4).astype(np.float32)
        whole = crop(image, (0, 0, 24, 24), box, 5, 3)
        np.testing.assert_allclose(crop(own, extent, box, 5, 3), whole, atol=1e-4)


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("column", range(4))
def test_one_pixel_weighs_one_pixel(row, column):
    mask = np.zeros((4, 4), np.uint8)
    mask[row, column] = 1
    # Its hat function has the integral of a cell, at the edge too, where half a hat is lost and half a cell of ones is
    # won. Even numbers of samples per cell are exact for the pieces of a hat: the mean is 1 of 16 cells.
    np.testing.assert_allclose(crop(mask, EXTENT, EXTENT, 4, 4).mean(), 1 / 16, rtol=1e-6)


def test_boxes_and_extents_without_area_are_finite():
    full = np.ones((4, 4))
    for extent, box in ((EXTENT, (9, 17, 9, 17)), ((5, 5, 5, 5), EXTENT), ((0, 0, 0, 0), (0, 0, 0, 0))):
        assert np.all(np.isfinite(crop(full, extent, box, 3, 2)))
    # A point inside sees the mask, a point outside nothing.
    np.testing.assert_array_equal(crop(full, EXTENT, (9, 17, 9, 17), 3, 2), np.ones((3, 3)))
    np.testing.assert_array_equal(crop(full, EXTENT, (7, 17, 7, 17), 3, 2), np.zeros((3, 3)))
