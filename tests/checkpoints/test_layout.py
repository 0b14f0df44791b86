"""Layouts against sums written out as loops over indices."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from maskrcnn_jax.checkpoints.convert.layout import (
    Axes,
    BackgroundFirst,
    FlattenedChannelsFirst,
    Layout,
    NoBackground,
    Same,
    TransposedConv,
)
from maskrcnn_jax.nn.heads.mask import Upsample


def numbers(*shape: int) -> np.ndarray:
    """Small whole numbers: their sums of products are exact."""
    return np.random.default_rng(0).integers(-9, 10, shape).astype(np.float32)


def test_a_kernel_of_torch_becomes_height_width_inputs_outputs():
    theirs = numbers(5, 4, 3, 2)
    ours = Axes((2, 3, 1, 0)).read(theirs)
    assert ours.shape == (3, 2, 4, 5)
    for o, i, y, x in itertools.product(*map(range, theirs.shape)):
        assert ours[y, x, i, o] == theirs[o, i, y, x]


def test_a_linear_layer_sees_the_same_cell_whatever_comes_first():
    """torch flattens `[channels, side, side]`, we flatten `[side, side, channels]`."""
    side, channels, outputs = 3, 4, 5
    theirs, image = numbers(outputs, channels * side * side), numbers(side, side, channels)
    expected = np.zeros(outputs, np.float32)
    for o, c, y, x in itertools.product(range(outputs), range(channels), range(side), range(side)):
        expected[o] += theirs[o, (c * side + y) * side + x] * image[y, x, c]
    ours = FlattenedChannelsFirst(side).read(theirs)
    np.testing.assert_array_equal(image.reshape(-1) @ ours, expected)


def test_a_transposed_convolution_by_loops():
    """Cell (y, x) adds its inputs, times the kernel's (dy, dx), to (2y + dy, 2x + dx)."""
    inputs, outputs, height, width = 3, 4, 2, 3
    kernel, bias, image = numbers(inputs, outputs, 2, 2), numbers(outputs), numbers(height, width, inputs)
    expected = np.tile(bias, (2 * height, 2 * width, 1))
    for y, x, dy, dx, i, o in itertools.product(*map(range, (height, width, 2, 2, inputs, outputs))):
        expected[2 * y + dy, 2 * x + dx, o] += image[y, x, i] * kernel[i, o, dy, dx]
    layer = Upsample(inputs, outputs, dtype=jnp.float32, rngs=nnx.Rngs(0))
    layer.conv.kernel[...] = jnp.asarray(TransposedConv().read(kernel))
    layer.bias[...] = jnp.asarray(bias)
    np.testing.assert_array_equal(layer(jnp.asarray(image)[None])[0], expected)


def test_background_goes_from_the_front_to_the_end():
    theirs = np.float32([[0, 1], [10, 11], [20, 21]])  # background, class 0, class 1; two inputs
    np.testing.assert_array_equal(BackgroundFirst(Axes((1, 0))).read(theirs), [[10, 20, 0], [11, 21, 1]])
    boxes = np.arange(12, dtype=np.float32)
    np.testing.assert_array_equal(BackgroundFirst(Same(), 4).read(boxes), [*range(4, 12), *range(4)])


def test_background_that_we_do_not_have_is_dropped_and_written_as_zero():
    layout, theirs = NoBackground(Axes((1, 0)), 2), np.float32([[7, 8], [9, 1], [2, 3], [4, 5]])
    ours = layout.read(theirs)
    np.testing.assert_array_equal(ours, [[2, 4], [3, 5]])
    np.testing.assert_array_equal(layout.write(ours), [[0, 0], [0, 0], [2, 3], [4, 5]])


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Same(), (3, 4)),
        (Axes((2, 3, 1, 0)), (5, 4, 3, 2)),
        (Axes((1, 2, 0)), (5, 4, 3)),
        (FlattenedChannelsFirst(3), (5, 4 * 9)),
        (TransposedConv(), (3, 4, 2, 2)),
        (BackgroundFirst(Axes((1, 0)), 4), (12, 5)),
        (BackgroundFirst(Same()), (3,)),
    ],
    ids=str,
)
def test_writing_undoes_reading(layout: Layout, shape: tuple[int, ...]):
    theirs = numbers(*shape)
    np.testing.assert_array_equal(layout.write(layout.read(theirs)), theirs)
