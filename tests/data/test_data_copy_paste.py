"""Objects of one image pasted onto another, on hand-made masks."""

import dataclasses

import cv2
import numpy as np
import pytest

from maskrcnn_jax.config import CopyPaste, DataConfig, Flip, Resize, ScaleJitter
from maskrcnn_jax.data.augment import augment
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.carry import carry
from maskrcnn_jax.data.transforms.copy_paste import paste
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.placement import Placement, place_boxes, place_image, whole

CONFIG = DataConfig(transforms=(Flip(0.0), Resize((40,), 64)), buckets=((64, 64),), max_objects=6, mask_size=8)


def example_of(size: tuple[int, int], color: int, *rectangles: tuple[int, int, int, int], first: int = 0) -> Example:
    """An image of one colour with rectangular objects `(x0, y0, x1, y1)`, labelled `first`, `first` + 1, …"""
    masks = []
    for x0, y0, x1, y1 in rectangles:
        mask = np.zeros(size, np.uint8)
        mask[y0:y1, x0:x1] = 1
        masks.append(mask)
    n = len(rectangles)
    image = np.full((*size, 3), color, np.uint8)
    labels = np.arange(first, first + n, dtype=np.int32)
    return Example(image, color, np.array(rectangles, np.float32).reshape(-1, 4), labels, np.zeros(n, bool), masks)


class Drawn(np.random.Generator):
    """Chooses as told: numbers below a half are pasted."""

    def __init__(self, *values: float):
        super().__init__(np.random.PCG64(0))
        self.values = values

    def random(self, *_args):
        return np.array(self.values)


def test_pasting_by_hand():
    # The donor's first object covers columns 5 … 10 of the first object, and the whole second. Its second stays.
    below = example_of((20, 30), 10, (0, 0, 10, 10), (6, 2, 9, 8), (20, 10, 30, 20))
    donor = example_of((20, 30), 200, (5, 0, 15, 10), (20, 10, 25, 20), first=7)
    found = paste(below, donor, Drawn(0.4, 0.6))
    assert found.labels.tolist() == [0, 2, 7] and found.image_id == 10
    assert found.boxes.tolist() == [[0, 0, 5, 10], [20, 10, 30, 20], [5, 0, 15, 10]]
    expected = np.full((20, 30), 10)
    expected[0:10, 5:15] = 200
    np.testing.assert_array_equal(found.image, np.stack([expected] * 3, axis=-1))
    assert [mask.sum() for mask in found.masks] == [50, 100, 100]
    assert not below.masks[0][:, 10:].any() and below.masks[0][:10, 5:10].all()  # what was given is as it was


def test_a_larger_donor_is_cut_off_and_a_smaller_filled_up():
    below = example_of((20, 30), 10, (0, 0, 4, 4))
    large = example_of((50, 60), 200, (25, 15, 40, 40), (40, 40, 50, 50), first=7)
    found = paste(below, large, Drawn(0.0, 0.0))
    assert found.labels.tolist() == [0, 7] and found.boxes[1].tolist() == [25, 15, 30, 20]
    assert (found.image[15:, 25:] == 200).all() and (found.image[:15] == 10).all()
    small = example_of((8, 8), 200, (2, 2, 8, 8), first=7)
    found = paste(below, small, Drawn(0.0))
    assert found.boxes.tolist() == [[0, 0, 4, 4], [2, 2, 8, 8]] and [m.sum() for m in found.masks] == [12, 36]
    assert (found.image[2:8, 2:8] == 200).all() and (found.image == 200).sum() == 36 * 3


def test_crowds_are_covered_but_never_pasted():
    crowd = np.array([True])
    below = example_of((20, 30), 10, (0, 0, 10, 10))._replace(is_crowd=crowd)
    donor = example_of((20, 30), 200, (0, 0, 5, 10))
    found = paste(below, donor, Drawn(0.0))
    assert found.is_crowd.tolist() == [True, False] and found.boxes[0].tolist() == [5, 0, 10, 10]
    untouched = paste(below, donor._replace(is_crowd=crowd), Drawn(0.0))
    assert untouched.labels.tolist() == [0] and (untouched.image == 10).all()


def test_images_without_objects():
    empty, one = example_of((20, 30), 10), example_of((20, 30), 200, (0, 0, 5, 10), first=3)
    assert paste(empty, one, Drawn(0.0)).labels.tolist() == [3]
    found = paste(one, empty, Drawn())
    assert found.labels.tolist() == [3] and (found.image == 200).all()
    assert paste(empty, empty, Drawn()).boxes.shape == (0, 4)


def test_each_object_goes_with_a_probability_of_a_half():
    below, donor = example_of((20, 30), 10), example_of((20, 30), 200, *[(i, 0, i + 1, 5) for i in range(10)])
    rng = np.random.default_rng(0)
    counts = np.array([len(paste(below, donor, rng).labels) for _ in range(400)])
    # 4,000 draws: a standard deviation of 0.008 about a half.
    assert counts.mean() / 10 == pytest.approx(0.5, abs=0.03) and counts.min() < 3 and counts.max() > 7


@pytest.mark.parametrize("flip", [False, True])
def test_masks_are_carried_like_their_image(flip: bool):
    mask = np.zeros((60, 80), np.uint8)
    cv2.ellipse(mask, (45, 30), (20, 12), 20, 0, 360, 1, cv2.FILLED)
    example = example_of((60, 80), 0, (0, 0, 1, 1))._replace(image=np.stack([mask * 255] * 3, axis=-1), masks=[mask])
    placement = Placement((60, 80), (90, 120), offset=(10, 20), window=(64, 90), flip=flip)
    found = carry(example, placement)
    assert found.image.shape == (64, 90, 3)
    # The image is white where the object is: at a half the two must agree in every pixel.
    np.testing.assert_array_equal(found.masks[0], found.image[..., 0] >= 127)
    x, y, width, height = cv2.boundingRect(mask)
    expected = place_boxes(np.array([[x, y, x + width, y + height]], np.float32), placement)
    np.testing.assert_allclose(found.boxes, expected, atol=1)


def test_what_the_window_does_not_show_is_gone():
    example = example_of((40, 40), 9, (0, 0, 10, 10), (20, 20, 30, 30))
    found = carry(example, Placement((40, 40), (40, 40), offset=(15, 15), window=(25, 25), flip=False))
    assert found.labels.tolist() == [1] and found.boxes.tolist() == [[5, 5, 15, 15]]


def test_a_row_without_any_donor_object_is_that_of_the_image_alone():
    example, nothing = example_of((40, 50), 90, (3, 3, 20, 30), (30, 5, 45, 15)), example_of((40, 50), 7)
    alone = augment(example, Generators(np.random.default_rng(0)), CONFIG, (64, 64))
    together = augment(example, Generators(np.random.default_rng(0)), CONFIG, (64, 64), others=[(CopyPaste(), nothing)])
    for a, b in zip((*alone[:2], *alone.ground_truth), (*together[:2], *together.ground_truth), strict=True):
        np.testing.assert_array_equal(a, b)


def test_both_images_are_jittered_and_objects_lie_on_their_pixels():
    """The image is black and the donor's objects white: white is where the pasted boxes are."""
    config = dataclasses.replace(CONFIG, transforms=(Flip(0.5), ScaleJitter(0.5, 2.0)), max_objects=8)
    donor = example_of((50, 60), 255, (10, 10, 30, 30), (35, 20, 55, 45), first=5)
    below = example_of((40, 50), 0, (0, 0, 50, 40))
    scales, pasted = set(), 0
    for seed in range(40):
        row = augment(below, Generators(np.random.default_rng(seed)), config, (64, 64), others=[(CopyPaste(), donor)])
        truth, white = row.ground_truth, row.images[..., 0] > 0
        boxes = truth.boxes[truth.valid & (truth.labels >= 5)]
        union = np.zeros((64, 64), bool)
        for x0, y0, x1, y1 in np.rint(boxes).astype(int).tolist():
            union[y0:y1, x0:x1] = True
        # Bilinear in both directions, a corner may be covered by less than a half.
        assert not (white & ~union).any() and (union & ~white).sum() <= 4 * len(boxes)
        scales.add(tuple(row.image_sizes.tolist()))
        pasted += len(boxes)
    assert len(scales) > 10 and pasted > 20


def test_an_identity_placement_changes_nothing():
    example = example_of((40, 50), 90, (3, 3, 20, 30))
    found = carry(example, whole((40, 50), (40, 50), flip=False))
    np.testing.assert_array_equal(found.image, place_image(example.image, whole((40, 50), (40, 50), False), (40, 50)))
    np.testing.assert_array_equal(found.masks[0], example.masks[0])
    np.testing.assert_array_equal(found.boxes, example.boxes)
