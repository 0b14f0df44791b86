"""RoIAlign compared with the sums that define it, bin by bin and sample by sample."""

import math

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.ops.roi_align import assign_levels, roi_align

jitted = jax.jit(roi_align, static_argnums=(3, 4, 5, 6))

IMAGE = (32, 48)
BINS = 2
SLOTS = 8
"""One number of boxes for all tests, so that few programs are compiled."""


def pool(features, boxes, level, ratio, aligned=True):
    """The output for the first boxes; the other slots hold boxes without area."""
    boxes, level = np.asarray(boxes, np.float32), np.asarray(level, np.int32)
    empty = SLOTS - len(boxes)
    boxes, level = np.pad(boxes, ((0, empty), (0, 0))), np.pad(level, (0, empty))
    return np.asarray(jitted(features, boxes, level, IMAGE, BINS, ratio, aligned))[: SLOTS - empty]


def bilinear(y, x, height, width):
    """The cells around a point and their weights; nothing more than one cell outside."""
    if y < -1 or y > height or x < -1 or x > width:
        return []
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return [
        (top, left, (1 - dy) * (1 - dx)),
        (top, right, (1 - dy) * dx),
        (bottom, left, dy * (1 - dx)),
        (bottom, right, dy * dx),
    ]


def bin_weights(box, scale, height, width, ratio, aligned):
    """(bin row, bin column, cell row, cell column, weight) of each cell that each bin reads."""
    shift = 0.5 if aligned else 0.0
    x0, y0, x1, y1 = (float(v) * scale - shift for v in box)
    roi_height, roi_width = y1 - y0, x1 - x0
    if not aligned:
        roi_height, roi_width = max(roi_height, 1.0), max(roi_width, 1.0)
    down = ratio or max(math.ceil(roi_height / BINS), 1)
    across = ratio or max(math.ceil(roi_width / BINS), 1)
    for i in range(BINS):
        for j in range(BINS):
            for sample_row in range(down):
                for sample_column in range(across):
                    y = y0 + (i + (sample_row + 0.5) / down) * roi_height / BINS
                    x = x0 + (j + (sample_column + 0.5) / across) * roi_width / BINS
                    for row, column, weight in bilinear(y, x, height, width):
                        yield i, j, row, column, weight / (down * across)


def define_roi_align(features, boxes, level, ratio, aligned):
    pooled = np.zeros((len(boxes), BINS, BINS, features[0].shape[-1]))
    for n, (box, lvl) in enumerate(zip(boxes, level, strict=True)):
        height, width, _ = features[lvl].shape
        scale = height / IMAGE[0]
        for i, j, row, column, weight in bin_weights(box, scale, height, width, ratio, aligned):
            pooled[n, i, j] += weight * features[lvl][row, column]
    return pooled


def define_transpose(features, boxes, level, cotangent, ratio, aligned):
    """The gradient of each feature cell: the same weights, transposed."""
    gradients = [np.zeros(f.shape) for f in features]
    for n, (box, lvl) in enumerate(zip(boxes, level, strict=True)):
        height, width, _ = features[lvl].shape
        scale = height / IMAGE[0]
        for i, j, row, column, weight in bin_weights(box, scale, height, width, ratio, aligned):
            gradients[lvl][row, column] += weight * cotangent[n, i, j]
    return gradients


def pyramid(channels=2):
    """Levels of strides 4 and 8 under an image of 32 × 48 pixels."""
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(h, w, channels)).astype(np.float32) for h, w in ((8, 12), (4, 6)))


BOXES = jnp.array(
    [
        [4.0, 3, 20, 17],
        [0, 0, 48, 32],  # the whole image
        [-20, -10, 9, 60],  # leaves it on three sides
        [30.5, 20.25, 31, 21],  # less than a cell
        [7, 7, 7, 7],  # no area
        [100, 100, 140, 120],  # far outside
        [2, 14, 46, 15],  # thin
        [9, 1, 10, 31],
    ]
)
LEVEL = jnp.array([0, 1, 0, 0, 1, 0, 0, 1])


@pytest.mark.parametrize(("aligned", "first"), [(False, 7.5), (True, 4.5)])
def test_five_by_five(aligned, first):
    # Detectron2's own case: 0 … 24 on 5 × 5 cells, the box (1, 1, 3, 3), 4 × 4 bins. Bins are half a cell wide, so the
    # first centre lies at 1.25: 5 · 1.25 + 1.25 = 7.5; aligned, half a cell less on both axes: 4.5.
    features = (jnp.arange(25.0).reshape(5, 5, 1),)
    pooled = jitted(features, jnp.array([[1.0, 1, 3, 3]]), jnp.array([0]), (5, 5), 4, 0, aligned)
    expected = first + 2.5 * np.arange(4)[:, None] + 0.5 * np.arange(4)
    np.testing.assert_allclose(pooled[0, ..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("ratio", "aligned"), [(0, True), (1, True), (2, True), (3, True), (0, False), (2, False)])
def test_equals_the_definition(ratio, aligned):
    features = pyramid()
    pooled = pool(features, BOXES, LEVEL, ratio, aligned)
    np.testing.assert_allclose(pooled, define_roi_align(features, BOXES, LEVEL, ratio, aligned), atol=1e-5)


# Corners lie 1/64 off the multiples of 1/8 and no box needs more than five samples per bin: so no sample falls exactly
# on the line one cell outside, where the definition jumps and rounding would decide.
corner = st.integers(-160, 400).map(lambda i: i / 8 + 1 / 64)
side = st.integers(0, 320).map(lambda i: i / 8)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
@settings(max_examples=25)
@given(
    low=hnp.arrays(np.float32, (3, 2), elements=corner),
    sides=hnp.arrays(np.float32, (3, 2), elements=side),
    level=hnp.arrays(np.int32, 3, elements=st.integers(0, 1)),
)
def test_any_boxes_equal_the_definition(low, sides, level, ratio, aligned):
    features, boxes = pyramid(), np.concatenate([low, low + sides], axis=1)
    pooled = pool(features, boxes, level, ratio, aligned)
    np.testing.assert_allclose(pooled, define_roi_align(features, boxes, level, ratio, aligned), atol=1e-5)


@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
def test_constant_feature_gives_the_constant(ratio):
    boxes = [[0, 0, 48, 32], [5, 6, 20, 9], [40, 1, 47, 30]]
    features = tuple(np.full_like(f, 7) for f in pyramid())
    np.testing.assert_allclose(pool(features, boxes, [0, 1, 0], ratio), np.full((3, BINS, BINS, 2), 7.0), rtol=1e-6)


@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
def test_ramp_gives_its_value_at_the_bin_centre(ratio):
    # Aligned: cell (i, j) of stride 4 is centred on pixel (4j + 2, 4i + 2), and holds 10 · y + x there.
    y, x = np.meshgrid(4 * np.arange(8) + 2, 4 * np.arange(12) + 2, indexing="ij")
    ramp = np.stack([10.0 * y + x, -x], axis=-1).astype(np.float32)
    boxes = [[5, 4, 21, 25], [11, 6.5, 40, 8]]
    pooled = pool((ramp, pyramid()[1]), boxes, [0, 0], ratio)
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        for i in range(BINS):
            for j in range(BINS):
                centre_y, centre_x = y0 + (i + 0.5) * (y1 - y0) / BINS, x0 + (j + 0.5) * (x1 - x0) / BINS
                np.testing.assert_allclose(pooled[n, i, j], [10 * centre_y + centre_x, -centre_x], rtol=1e-5)


def test_each_box_reads_its_own_level():
    # An image padded to 128 × 160 has levels of 32 × 40, 16 × 20, 8 × 10 and 4 × 5 cells.
    features = tuple(np.full((32 >> i, 40 >> i, 1), i + 1.0, np.float32) for i in range(4))
    boxes = np.tile(np.float32([[20, 30, 90, 100]]), (6, 1))
    level = np.array([3, 0, 2, 1, 1, 0], np.int32)
    pooled = jitted(features, boxes, level, (128, 160), BINS, 2, True)
    np.testing.assert_allclose(pooled, np.broadcast_to((level + 1.0)[:, None, None, None], pooled.shape), rtol=1e-6)


def test_last_row_of_a_level_does_not_read_the_next_level():
    fine, coarse = pyramid()
    features = (np.zeros_like(fine), np.full_like(coarse, 1e6))
    for ratio in (0, 1, 2, 3):
        assert not pool(features, [[40, 28, 48, 32], [30, 20, 60, 40]], [0, 0], ratio).any()


def test_level_of_an_image_that_is_no_multiple_of_the_stride():
    # 50 × 81 pixels at stride 4 make 13 × 21 cells: the scale is ¼ all the same, not 13/50.
    shape = (13, 21)
    features = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    boxes = np.float32([[3, 5, 41, 44]])
    pooled = jitted((features,), boxes, np.zeros(1, np.int32), (50, 81), BINS, 2, True)
    expected = np.zeros((BINS, BINS))
    for i, j, row, column, weight in bin_weights(boxes[0], 0.25, *shape, 2, True):
        expected[i, j] += weight * features[row, column, 0]
    np.testing.assert_allclose(pooled[0, ..., 0], expected, atol=1e-5)


def pool_and_pull(features, boxes, level, cotangent, ratio):
    """The pooled features, and the gradients of features and boxes for a cotangent."""
    pooled, pull = jax.vjp(lambda f, b: roi_align(f, b, level, IMAGE, BINS, ratio, True), features, boxes)
    return pooled, *pull(cotangent)


@pytest.mark.parametrize("ratio", [0, 2])
def test_gradient_is_the_transpose_and_does_not_reach_boxes(ratio):
    features = pyramid()
    cotangent = np.random.default_rng(1).normal(size=(SLOTS, BINS, BINS, 2)).astype(np.float32)
    pulled = jax.jit(pool_and_pull, static_argnums=4)(features, BOXES, LEVEL, cotangent, ratio)
    for got, want in zip(pulled[1], define_transpose(features, BOXES, LEVEL, cotangent, ratio, True), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)
    assert not pulled[2].any()


@pytest.mark.parametrize("ratio", [0, 2])
def test_vmap_changes_neither_values_nor_gradients(ratio):
    rng = np.random.default_rng(2)
    features = tuple(rng.normal(size=(3, *f.shape)).astype(np.float32) for f in pyramid())
    # The images need different numbers of samples, so the adaptive loop ends at a different iteration for each.
    boxes = np.stack([BOXES, np.asarray(BOXES) * 0.2, np.zeros_like(BOXES)])
    level = np.stack([LEVEL, 1 - np.asarray(LEVEL), LEVEL])
    cotangent = rng.normal(size=(3, SLOTS, BINS, BINS, 2)).astype(np.float32)
    lifted = jax.jit(jax.vmap(lambda *arguments: pool_and_pull(*arguments, ratio)))
    pooled, pulled, _ = lifted(features, boxes, level, cotangent)
    for image in range(3):
        arguments = [f[image] for f in features], boxes[image], level[image]
        np.testing.assert_allclose(pooled[image], define_roi_align(*arguments, ratio, True), atol=1e-5)
        for got, want in zip(pulled, define_transpose(*arguments, cotangent[image], ratio, True), strict=True):
            np.testing.assert_allclose(got[image], want, atol=1e-4)


@pytest.mark.parametrize("ratio", [0, 2])
def test_bfloat16_features_are_averaged_in_float32(ratio):
    features = tuple(jnp.asarray(f, jnp.bfloat16) for f in pyramid())
    pooled = pool(features, BOXES, LEVEL, ratio)
    assert pooled.dtype == jnp.bfloat16
    exact = define_roi_align([np.asarray(f, np.float32) for f in features], BOXES, LEVEL, ratio, True)
    # Half a unit in the last of eight bits.
    np.testing.assert_allclose(np.asarray(pooled, np.float32), exact, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("ratio", [0, 2])
def test_nan_box_affects_only_itself(ratio):
    boxes = np.float32([[4, 3, 20, 17], [np.nan] * 4])
    expected = define_roi_align(pyramid(), boxes[:1], [0], ratio, True)
    np.testing.assert_allclose(pool(pyramid(), boxes, [0, 0], ratio)[:1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "level"),
    [(0, 0), (1, 0), (111.9, 0), (112, 1), (223.9, 1), (224, 2), (447, 2), (448, 3), (896, 3), (5000, 3)],
)
@pytest.mark.parametrize("eps", [0.0, 1e-8, 1e-6])
def test_level_of_a_square(side, level, eps):
    # Equation 1 of the FPN paper: P4 (index 2) for 224 pixels, one level per factor of two, clipped to P2 … P5.
    box = jnp.array([[10.0, 20, 10 + side, 20 + side]], jnp.float32)
    np.testing.assert_array_equal(assign_levels(box, 4, 224.0, 4, eps), [level])


def test_level_follows_the_area_not_the_longer_side():
    boxes = jnp.array([[0.0, 0, 448, 112], [0, 0, 56, 896], [0, 0, 1000, 0]])
    np.testing.assert_array_equal(assign_levels(boxes, 4, 224.0, 4, 1e-6), [2, 2, 0])


def test_canonical_size_and_level_count_shift_the_levels():
    boxes = jnp.array([[0.0, 0, s, s] for s in (16, 32, 64, 128, 256)])
    np.testing.assert_array_equal(assign_levels(boxes, 3, 32.0, 3, 1e-6), [0, 1, 2, 2, 2])
