"""Masks that are pasted when they are looked at are those that are pasted at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.masks import lazy_masks as module
from maskrcnn_jax.masks.lazy_masks import Crops, Patch, as_crop, unite
from maskrcnn_jax.masks.paste import Crop, paste_mask

HEIGHT, WIDTH = 60, 80
WHOLE = (0, 0, WIDTH, HEIGHT)


def full(crop: Crop) -> np.ndarray:
    image = np.zeros((HEIGHT, WIDTH), bool)
    height, width = crop.mask.shape
    image[crop.y : crop.y + height, crop.x : crop.x + width] = crop.mask
    return image


def patch(place, window=WHOLE, seed=0) -> Patch:
    noise = np.random.default_rng(seed).uniform(size=(28, 28)).astype(np.float32)
    return Patch(noise, np.array(place, np.float32), window)


boxes = st.tuples(st.floats(-20, 70), st.floats(-20, 50), st.floats(0.5, 60), st.floats(0.5, 60)).map(
    lambda p: [p[0], p[1], p[0] + p[2], p[1] + p[3]]
)


@given(place=boxes)
def test_one_mask_is_what_paste_mask_gives(place):
    one = patch(place)
    expected = paste_mask(one.probabilities, one.place, HEIGHT, WIDTH)
    np.testing.assert_array_equal(full(Crops([(one,)])[0]), expected)


@given(place=boxes, window=st.sampled_from([(10, 5, 50, 40), (0, 0, 1, 1), (30, 30, 30, 50), (70, 50, 80, 60)]))
def test_nothing_is_set_outside_the_window(place, window):
    x0, y0, x1, y1 = window
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[y0:y1, x0:x1] = True
    one = patch(place)
    expected = paste_mask(one.probabilities, one.place, HEIGHT, WIDTH) & inside
    np.testing.assert_array_equal(full(Crops([(one._replace(window=window),)])[0]), expected)


def test_a_tall_mask_is_pasted_in_strips(monkeypatch: pytest.MonkeyPatch):
    one = patch([3.3, -4.7, 70.2, 58.1])
    expected = full(Crops([(one,)])[0])
    monkeypatch.setattr(module, "STRIP", 7)
    np.testing.assert_array_equal(full(Crops([(one,)])[0]), expected)


def test_an_object_in_parts_is_their_union():
    left, right = patch([5, 10, 45, 50], (0, 0, 40, 60), 1), patch([30, 12, 70, 48], (30, 0, 80, 60), 2)
    union = Crops([(left, right)])[0]
    np.testing.assert_array_equal(full(union), full(Crops([(left,)])[0]) | full(Crops([(right,)])[0]))
    # From the left part's first cell, half a cell of 40 / 28 before 5, to the right part's last.
    assert union.x in (4, 5) and union.mask.shape[1] <= 67


@given(place=boxes, seed=st.integers(0, 3))
def test_samples_of_every_pixel_are_the_mask(place, seed):
    """20 × 20 samples over 20 × 20 pixels."""
    one, other = patch(place, (0, 0, 40, 60), seed), patch(place, (30, 20, 80, 60), seed + 1)
    masks = Crops([(one, other)])
    samples = masks.sample(0, np.array([25.0, 15, 45, 35]), 20)
    # A probability of a hair's breadth beside one half may fall on either side.
    assert (samples != full(masks[0])[15:35, 25:45]).sum() <= 1


def test_subsets_like_arrays():
    parts = [(patch([i, 0, i + 10, 10], seed=i),) for i in range(4)]
    masks = Crops(parts)
    assert len(masks) == 4
    assert masks[np.array([True, False, False, True])].patches == (parts[0], parts[3])
    assert masks[np.array([2, 1])].patches == (parts[2], parts[1])
    assert len(masks[np.zeros(0, int)]) == 0
    np.testing.assert_array_equal(full(masks[np.int64(2)]), full(masks[2]))


def test_a_union_by_hand():
    a = Crop(np.array([[True, False], [True, True]]), 1, 2)
    b = Crop(np.array([[True, True, True]]), 2, 3)
    empty = Crop(np.zeros((0, 0), bool), 0, 0)
    # y from 1 to 2, x from 2 to 5: a sets (1, 2), (2, 2), (2, 3), b (2, 3), (2, 4), (2, 5).
    union = unite([a, empty, b])
    assert (union.y, union.x) == (1, 2)
    assert union.mask.astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]
    assert unite([]).mask.size == unite([empty, empty]).mask.size == 0


def test_whole_masks_are_crops_too():
    whole = np.eye(4, 5, dtype=bool)
    assert as_crop(whole) == Crop(whole, 0, 0)
    crop = Crop(whole, 3, 4)
    assert as_crop(crop) is crop
