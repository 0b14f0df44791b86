"""Masks cropped to their boxes: those of training, and what they lose."""

import dataclasses

import numpy as np
import pytest
from examples import Images, example
from small import CONFIG, SIDE

from maskrcnn_jax.inspect.data.inspected import training_sample, without_randomness
from maskrcnn_jax.inspect.data.training_steps import OBJECTS, crop_overlaps, crops_figure, mask_crops

NAMES = Images.class_names
CAT, DOG = 0, 1


def test_crops_are_those_of_training():
    """Of an image that training neither enlarges nor mirrors. The cat lacks a quarter."""
    thing = example((CAT, (3, 5, 23, 31)), (DOG, (30, 0, 60, 64)), size=(SIDE, SIDE))
    thing.masks[0][5:18, 3:13] = 0
    plain = dataclasses.replace(CONFIG, data=without_randomness(CONFIG.data))
    truth = training_sample(thing, plain, (SIDE, SIDE), seed=0).ground_truth
    crops = mask_crops(thing, CONFIG.data.mask_size)
    assert len(crops) == truth.valid.sum() == 2
    np.testing.assert_array_equal(crops, truth.masks[:2])
    # The quarter ends within a cell of the middle.
    middle = CONFIG.data.mask_size // 2
    assert not crops[0][: middle - 1, : middle - 1].any() and crops[0][middle + 1 :].all() and crops[1].all()


@pytest.mark.parametrize(("cells", "expected"), [(16, 1.0), (8, 0.5)])
def test_what_crops_lose(cells: int, expected: float):
    """A chess board of single pixels, in 16 × 16 of them or in cells of two by two.

    Those hold as many set pixels as others, so that all are set: half of the union is shared. Nothing loses nothing.
    """
    thing = example((CAT, (8, 8, 24, 24)), (CAT, (0, 0, 4, 4)))
    thing.masks[0][8:24, 8:24] = np.indices((16, 16)).sum(axis=0) % 2
    thing.masks[1][:] = 0
    assert crop_overlaps(thing, mask_crops(thing, cells)).tolist() == [expected, 1]


def test_crops_of_the_largest_objects():
    boxes = [(CAT, (0, 0, side, 10)) for side in range(5, 14)]
    thing = example(*boxes)
    figure = crops_figure(thing, mask_crops(thing, 6), NAMES)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.count("cat") == OBJECTS and words.count("6 × 6") == OBJECTS
    assert "10 × 13" in words and "10 × 7" in words and "10 × 6" not in words
    assert sum(word.startswith("IoU") for word in words) == OBJECTS
