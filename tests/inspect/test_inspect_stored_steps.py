"""Plots of images and their objects, with masks and boxes worked out by hand."""

import numpy as np
import pytest
from examples import Images, example

from maskrcnn_jax.inspect.colors import COLORS
from maskrcnn_jax.inspect.data.numbers import mask_boxes
from maskrcnn_jax.inspect.data.stored_steps import box_table, boxes_figure, sample_figure
from maskrcnn_jax.inspect.data.training_steps import full_masks, input_figure
from maskrcnn_jax.structs import Batch, GroundTruth

NAMES = Images.class_names
CAT, DOG, OWL = range(3)


def corners(collection) -> list[list[float]]:
    return [[*path.vertices[0], *path.vertices[2]] for path in collection.get_paths()]


def sample(example, *boxes: list[float], crowd: int | None = None) -> Batch:
    """A training sample with a slot to spare."""
    count = len(boxes) + 1
    filled = np.array([*boxes, [0, 0, 0, 0]], np.float32)
    truth = GroundTruth(
        filled,
        np.array([*example.labels[: count - 1], 0], np.int32),
        np.arange(count) == (-1 if crowd is None else crowd),
        np.arange(count) < count - 1,
        np.ones((count, 8, 8), np.uint8),
        filled,
    )
    return Batch(np.zeros((64, 64, 3), np.uint8), np.array([40, 60], np.float32), truth, np.array(7))


def test_boxes_around_masks():
    mask = np.zeros((40, 60), np.uint8)
    mask[3, 5] = mask[10, 30] = 1  # x from 5 to 30, y from 3 to 10, inclusive
    found = mask_boxes(example((CAT, (0, 0, 60, 40)), (CAT, (0, 0, 1, 1)), masks=[mask, np.zeros_like(mask)]))
    assert found.tolist() == [[5, 3, 31, 11], [0, 0, 0, 0]]
    assert mask_boxes(example()).shape == (0, 4)


def test_distances_of_boxes():
    annotated = np.array([[9.5, 10, 20, 18.25]], np.float32)  # the mask ends at 20: 1.75 pixels further down
    table = box_table(
        example((DOG, (10, 10, 20, 20)), boxes=annotated, is_crowd=np.array([True])),
        NAMES,
    )
    assert table.entries == [("dog (crowd)", "9.5, 10.0, 20.0, 18.2", "10.0, 10.0, 20.0, 20.0", pytest.approx(1.75))]


def test_samples_show_the_largest_classes():
    thing = example((OWL, (0, 0, 12, 20)), (CAT, (20, 0, 50, 20)), (OWL, (20, 30, 50, 40)), (DOG, (0, 38, 1, 40)))
    figure = sample_figure(thing, NAMES)
    # of 2400 pixels: cat 600, owls 240 + 300, dog 2
    assert [panel.get_title().split()[0] for panel in figure.axes[1:4]] == ["cat", "owl", "dog"]
    layer = figure.axes[2].images[1].get_array()
    shades = {tuple(layer[10, 6, :3]), tuple(layer[35, 30, :3])}
    assert len(shades) == 2  # each owl has its own
    assert layer[..., 3].astype(bool).sum() == 540


def test_each_of_many_instances_has_its_own_colour():
    figure = sample_figure(example(*((CAT, (4 * k, 0, 4 * k + 4, 9)) for k in range(15))), NAMES)
    layer = figure.axes[1].images[1].get_array()
    assert len(set(map(tuple, layer[5, 2::4, :3].tolist()))) == 15


def test_both_boxes_are_drawn():
    annotated = np.array([[9.5, 10, 20, 18.25]], np.float32)
    figure = boxes_figure(example((DOG, (10, 10, 20, 20)), boxes=annotated), NAMES)
    tight, given = figure.axes[0].collections
    assert corners(tight) == [[10, 10, 20, 20]] and corners(given) == annotated.tolist()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["dog"]
    assert not boxes_figure(example(), NAMES).legends


def test_the_input_with_what_is_in_it():
    thing = example((DOG, (0, 0, 9, 9)), (CAT, (0, 0, 9, 9)))
    samples = [sample(thing, [0, 0, 16, 8], [20, 20, 30, 40], crowd=1), sample(thing, [0, 0, 32, 16])]
    figure = input_figure(samples, NAMES, 2)
    left, right = figure.axes
    assert corners(left.collections[0]) == [[0, 0, 16, 8], [20, 20, 30, 40]]
    full, dotted = (dashes for _, dashes in left.collections[0].get_linestyle())
    assert full is None and dotted is not None  # the second is a crowd
    assert corners(right.collections[0]) == [[0, 0, 32, 16]]
    layer = left.images[1].get_array()
    # masks of ones fill their boxes, but for the pixels in the corners, where interpolation may fall below one half
    assert 0 <= 16 * 8 + 10 * 20 - layer[..., 3].astype(bool).sum() <= 8
    np.testing.assert_array_equal(layer[4, 4, :3], np.rint(255 * np.array(COLORS[DOG])))
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"cat", "dog"}


def test_masks_are_put_back_where_they_were():
    thing = example((DOG, (0, 0, 9, 9)))
    truth = sample(thing, [8, 16, 24, 48]).ground_truth
    truth.masks[0, :4] = 0  # the upper half of the object is hidden
    [mask] = full_masks(truth, (64, 64))
    expected = np.zeros((64, 64), bool)
    expected[32:48, 8:24] = True
    # the upper edge lies within half a cell, two pixels; pixels in the corners are interpolated twice
    assert not (mask & ~expected)[:30].any() and not (mask & ~expected)[34:].any()
    assert (mask | ~expected)[34:47, 9:23].all()
