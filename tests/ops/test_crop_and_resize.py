"""TensorFlow's crop_and_resize, and Matterport's choice of levels, against loops that follow their definitions."""

import math

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops.crop_and_resize import crop_and_resize
from maskrcnn_jax.ops.roi_align import assign_levels

jitted = jax.jit(crop_and_resize, static_argnums=(3, 4, 5, 6))

IMAGE = (32, 48)
BINS = 3
SLOTS = 8
"""One number of boxes for all tests, so that few programs are compiled."""


def pool(features, boxes, level, bins=BINS):
    """The output for the first boxes; the other slots hold boxes without area."""
    boxes, level = np.asarray(boxes, np.float32), np.asarray(level, np.int32)
    empty = SLOTS - len(boxes)
    boxes, level = np.pad(boxes, ((0, empty), (0, 0))), np.pad(level, (0, empty))
    return np.asarray(jitted(features, boxes, level, IMAGE, bins, 0, True))[: SLOTS - empty]


def positions(low, high, cells, bins):
    """Where TensorFlow takes its samples along one axis: `low` and `high` are shares of it."""
    for i in range(bins):
        if bins == 1:
            yield 0.5 * (low + high) * (cells - 1)
        else:
            yield low * (cells - 1) + i * (high - low) * (cells - 1) / (bins - 1)


def bin_weights(box, height, width, bins):
    """(bin row, bin column, cell row, cell column, weight) of each cell that each bin reads."""
    x0, x1 = (float(v) / (IMAGE[1] - 1) for v in box[::2])
    y0, y1 = (float(v) / (IMAGE[0] - 1) for v in box[1::2])
    for i, y in enumerate(positions(y0, y1, height, bins)):
        for j, x in enumerate(positions(x0, x1, width, bins)):
            if not (0 <= y <= height - 1 and 0 <= x <= width - 1):
                continue
            for row in (math.floor(y), math.ceil(y)):
                for column in (math.floor(x), math.ceil(x)):
                    # A position on a cell reads that cell twice, each time by half: floor and ceiling are the same.
                    tall = 1 - abs(y - row) if row != y else 0.5
                    wide = 1 - abs(x - column) if column != x else 0.5
                    yield i, j, row, column, tall * wide


def define_crop_and_resize(features, boxes, level, bins=BINS):
    pooled = np.zeros((len(boxes), bins, bins, features[0].shape[-1]))
    for n, (box, lvl) in enumerate(zip(boxes, level, strict=True)):
        for i, j, row, column, weight in bin_weights(box, *features[lvl].shape[:2], bins):
            pooled[n, i, j] += weight * features[lvl][row, column]
    return pooled


def define_transpose(features, boxes, level, cotangent):
    """The gradient of each feature cell: the same weights, transposed."""
    gradients = [np.zeros(f.shape) for f in features]
    for n, (box, lvl) in enumerate(zip(boxes, level, strict=True)):
        for i, j, row, column, weight in bin_weights(box, *features[lvl].shape[:2], BINS):
            gradients[lvl][row, column] += weight * cotangent[n, i, j]
    return gradients


def pyramid(channels=2):
    """Levels of strides 4 and 8 under an image of 32 × 48 pixels."""
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(h, w, channels)).astype(np.float32) for h, w in ((8, 12), (4, 6)))


BOXES = np.float32(
    [
        [4, 3, 20, 17],
        [0, 0, 47, 31],  # the whole image
        [-20, -10, 9, 60],  # leaves it on three sides
        [30.5, 20.25, 31, 21],  # less than a cell
        [7, 7, 7, 7],  # no area
        [100, 100, 140, 120],  # far outside
        [2, 14, 46, 15],  # thin
        [31, 1, 22, 30],  # its left edge lies right of its right one
    ]
)
LEVEL = np.int32([0, 1, 0, 0, 1, 0, 0, 1])


def test_five_by_five():
    # 0 … 24 on 5 × 5 cells under an image of 9 × 9 pixels, so pixel 2 is the middle of cell 1. The box from pixel
    # (x 2, y 0) to (6, 8) covers x 1 … 3 and y 0 … 4 in cells: three samples at x 1, 2, 3 and y 0, 2, 4.
    features = (jnp.arange(25.0).reshape(5, 5, 1),)
    pooled = jitted(features, jnp.array([[2.0, 0, 6, 8]]), jnp.array([0]), (9, 9), 3, 0, True)
    np.testing.assert_array_equal(pooled[0, ..., 0], [[1, 2, 3], [11, 12, 13], [21, 22, 23]])
    # Two samples are its corners; one is its middle, row 2 and column 2; four lie 2/3 of a column and 4/3 of a row
    # apart: value 5 · 4/3 i + 1 + 2/3 j.
    for bins, expected in (
        (2, [[1, 3], [21, 23]]),
        (1, [[12]]),
        (4, [[1 + 20 / 3 * i + 2 / 3 * j for j in range(4)] for i in range(4)]),
    ):
        pooled = jitted(features, jnp.array([[2.0, 0, 6, 8]]), jnp.array([0]), (9, 9), bins, 0, True)
        np.testing.assert_allclose(pooled[0, ..., 0], expected, rtol=1e-6)


def test_samples_outside_count_nothing():
    # Pixels are cells. Samples at y -1, 1, 3 and x 3, 4, 5 of a level of 5 × 5: y -1 and x 5 are outside.
    features = (jnp.arange(25.0).reshape(5, 5, 1),)
    pooled = jitted(features, jnp.array([[3.0, -1, 5, 3]]), jnp.array([0]), (5, 5), 3, 0, True)
    np.testing.assert_array_equal(pooled[0, ..., 0], [[0, 0, 0], [8, 9, 0], [18, 19, 0]])


@pytest.mark.parametrize("bins", [1, 2, 3, 7])
def test_equals_the_definition(bins):
    features = pyramid()
    expected = define_crop_and_resize(features, BOXES, LEVEL, bins)
    np.testing.assert_allclose(pool(features, BOXES, LEVEL, bins), expected, atol=1e-5)


# Corners lie 1/64 pixel off the multiples of 1/8, so samples in the middle between two lie as much off the multiples of
# 1/16: none so near to the border, pixels 0, 31 and 47, where the definition jumps, that rounding would decide. Boxes
# on the border have their own test.
corner = st.integers(-160, 400).map(lambda i: i / 8 + 1 / 64)


@given(
    low=hnp.arrays(np.float32, (SLOTS, 2), elements=corner),
    high=hnp.arrays(np.float32, (SLOTS, 2), elements=corner),
    level=hnp.arrays(np.int32, SLOTS, elements=st.integers(0, 1)),
)
def test_any_boxes_equal_the_definition(low, high, level):
    features, boxes = pyramid(), np.concatenate([low, high], axis=1)
    np.testing.assert_allclose(pool(features, boxes, level), define_crop_and_resize(features, boxes, level), atol=1e-4)


@given(
    start=hnp.arrays(np.float32, (SLOTS, 2), elements=st.floats(0, 1, width=32)),
    level=hnp.arrays(np.int32, SLOTS, elements=st.integers(0, 1)),
    bins=st.sampled_from([2, 3, 7]),
)
def test_boxes_that_end_on_the_border_lose_no_sample(start, level, bins):
    # Features of 1 give 1 wherever a sample counts.
    ones = tuple(np.ones_like(f) for f in pyramid())
    end = np.float32([[47, 31]])
    boxes = np.concatenate([start * end, np.repeat(end, SLOTS, axis=0)], axis=1)
    np.testing.assert_allclose(pool(ones, boxes, level, bins), np.ones((SLOTS, bins, bins, 2)), rtol=1e-6)
    boxes = np.concatenate([np.zeros((SLOTS, 2), np.float32), start * end], axis=1)
    np.testing.assert_allclose(pool(ones, boxes, level, bins), np.ones((SLOTS, bins, bins, 2)), rtol=1e-6)


def test_zero_area_takes_one_point_several_times():
    # Pixel (47, 0) is the last cell of the first row; pixel (23.5, 15.5) is the middle of four cells on both levels.
    features = pyramid()
    pooled = pool(features, [[47, 0, 47, 0], [23.5, 15.5, 23.5, 15.5]], [0, 1])
    middle = features[1][1:3, 2:4].mean(axis=(0, 1))
    for got, point in zip(pooled, (features[0][0, 11], middle), strict=True):
        np.testing.assert_allclose(got, np.broadcast_to(point, got.shape), atol=1e-6)


def test_each_box_reads_its_own_level():
    # An image padded to 128 × 160 has levels of 32 × 40, 16 × 20, 8 × 10 and 4 × 5 cells.
    features = tuple(np.full((32 >> i, 40 >> i, 1), i + 1.0, np.float32) for i in range(4))
    boxes = np.tile(np.float32([[20, 30, 159, 127]]), (6, 1))
    level = np.array([3, 0, 2, 1, 1, 0], np.int32)
    pooled = jitted(features, boxes, level, (128, 160), BINS, 0, True)
    np.testing.assert_allclose(pooled, np.broadcast_to((level + 1.0)[:, None, None, None], pooled.shape), rtol=1e-6)


def pool_and_pull(features, boxes, level, cotangent):
    """The pooled features, and the gradients of features and boxes for a cotangent."""
    pooled, pull = jax.vjp(lambda f, b: crop_and_resize(f, b, level, IMAGE, BINS, 0, True), features, boxes)
    return pooled, *pull(cotangent)


def test_vmapped_pooling_has_transposed_gradients_and_none_for_boxes():
    rng = np.random.default_rng(2)
    features = tuple(rng.normal(size=(2, *f.shape)).astype(np.float32) for f in pyramid())
    boxes, level = np.stack([BOXES, BOXES * 0.4]), np.stack([LEVEL, 1 - LEVEL])
    cotangent = rng.normal(size=(2, SLOTS, BINS, BINS, 2)).astype(np.float32)
    pooled, pulled, to_boxes = jax.jit(jax.vmap(pool_and_pull))(features, boxes, level, cotangent)
    for image in range(2):
        arguments = [f[image] for f in features], boxes[image], level[image]
        np.testing.assert_allclose(pooled[image], define_crop_and_resize(*arguments), atol=1e-5)
        for got, want in zip(pulled, define_transpose(*arguments, cotangent[image]), strict=True):
            np.testing.assert_allclose(got[image], want, atol=1e-4)
    assert not to_boxes.any()


def test_bfloat16_features_are_averaged_in_float32_and_so_are_their_gradients():
    features = tuple(jnp.asarray(f, jnp.bfloat16) for f in pyramid())
    # 300 boxes take the same point, an eighth of the way from one cell to the next: in bfloat16 the sum of their
    # hundreds of values would stop growing.
    boxes, level = np.tile(np.float32([[47 / 11 * 2.125, 0] * 2]), (300, 1)), np.zeros(300, np.int32)
    cotangent = jnp.ones((300, BINS, BINS, 2), jnp.bfloat16)
    pooled, pulled, _ = jax.jit(pool_and_pull)(features, boxes, level, cotangent)
    assert pooled.dtype == pulled[0].dtype == jnp.bfloat16
    row = np.asarray(features[0], np.float32)[0]
    exact = 0.875 * row[2] + 0.125 * row[3]
    # Half a unit in the last of eight bits.
    np.testing.assert_allclose(np.asarray(pooled, np.float32)[0, 0, 0], exact, rtol=2**-8, atol=1e-5)
    np.testing.assert_allclose(np.asarray(pulled[0], np.float32)[0, 2:4, 0], [2700 * 0.875, 2700 * 0.125], rtol=2**-8)


def test_nan_box_affects_only_itself():
    boxes = np.float32([[4, 3, 20, 17], [np.nan] * 4])
    pooled = pool(pyramid(), boxes, [0, 0])
    np.testing.assert_allclose(pooled[:1], define_crop_and_resize(pyramid(), boxes[:1], [0]), atol=1e-5)
    assert not pooled[1].any()


side = st.floats(1e-3, 1022)


@given(sides=hnp.arrays(np.float64, (SLOTS, 2), elements=side), image=st.sampled_from([512, 1024]))
def test_nearest_level_is_that_of_matterport(sides, image):
    # Matterport's boxes are shares of the image's sides minus one pixel, but 224 pixels is a share of the sides.
    shares = sides / (image - 1)
    exact = 4 + np.log2(np.sqrt(shares.prod(axis=1)) / (224 / math.sqrt(image * image)))
    boxes = jnp.asarray(np.concatenate([np.zeros_like(sides), sides], axis=1), jnp.float32)
    levels = assign_levels(boxes, 4, canonical_size=224 * (image - 1) / image, canonical_level=4, eps=0.5)
    # Ties are at halves, where float32 and the rule of `round` decide.
    clear = np.abs(exact - np.floor(exact) - 0.5) > 1e-3
    np.testing.assert_array_equal(levels[clear], np.clip(np.round(exact), 2, 5)[clear] - 2)


@given(sides=hnp.arrays(np.float64, (SLOTS, 2), elements=side))
def test_floored_level_without_eps_is_that_of_detectron2(sides):
    exact = 4 + np.log2(np.sqrt(sides.prod(axis=1)) / 224 + 1e-8)
    boxes = jnp.asarray(np.concatenate([np.zeros_like(sides), sides], axis=1), jnp.float32)
    levels = assign_levels(boxes, 4, canonical_size=224.0, canonical_level=4, eps=0.0)
    clear = np.abs(exact - np.round(exact)) > 1e-3
    np.testing.assert_array_equal(levels[clear], np.clip(np.floor(exact), 2, 5)[clear] - 2)


def test_levels_change_at_the_sides_where_matterports_do():
    # 224 / √2 and its double and half, 158.4, 316.8 and 79.2 pixels, all times 1023/1024.
    boxes = jnp.array([[0.0, 0, s, s] for s in (79.0, 79.3, 158.1, 158.5, 316.3, 316.9)])
    np.testing.assert_array_equal(assign_levels(boxes, 4, 224 * 1023 / 1024, 4, 0.5), [0, 1, 1, 2, 2, 3])
