"""Transforms of geometry: how they compose, and that boxes, masks and pixels stay together."""

import itertools

import numpy as np
import pytest

from maskrcnn_jax.config import ConfigError, DataConfig, Flip, RandomCrop, Resize, Rotate90, ScaleJitter, Transform
from maskrcnn_jax.data import Example
from maskrcnn_jax.data.augment import augment, draw_placement
from maskrcnn_jax.data.transforms.carry import carry
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.placement import Placement, cropped, place_image, resized_window, whole

SQUARE = ((64, 64),)


def generators(seed: int = 0) -> Generators:
    return Generators(np.random.default_rng(seed))


def example_of(size: tuple[int, int], x0: int, y0: int, x1: int, y1: int) -> Example:
    """A black image with one white rectangle."""
    mask = np.zeros(size, np.uint8)
    mask[y0:y1, x0:x1] = 1
    return Example.of(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), 0, [0], [mask])


@pytest.mark.parametrize(("turns", "flip"), [*itertools.product(range(4), (False, True))])
def test_turned_images_boxes_and_masks_stay_together(turns: int, flip: bool):
    example = example_of((30, 40), 5, 3, 20, 9)
    placement = whole((30, 40), (30, 40), flip)._replace(turns=turns, origin=(2, 1))
    image = place_image(example.image, placement, (64, 64))
    expected = np.rot90(example.image, turns)
    expected = expected[:, ::-1] if flip else expected
    height, width = expected.shape[:2]
    assert placement.shown == (height, width)
    np.testing.assert_array_equal(image[2 : 2 + height, 1 : 1 + width], expected)
    carried = carry(example, placement)
    np.testing.assert_array_equal(carried.masks[0] * 255, expected[..., 0])


@pytest.mark.parametrize("seed", range(12))
def test_ground_truth_matches_the_pixels(seed: int):
    """All transforms of geometry in turn: the box is that of the white pixels, whose share of it the mask has."""
    example = example_of((60, 60), 20, 30, 50, 40)
    transforms = (Flip(0.5), Rotate90(1.0), RandomCrop(0.8), Resize((48, 64), 64), Flip(0.5), Rotate90(0.5))
    transforms = tuple(named(transform, f"t{i}") for i, transform in enumerate(transforms))
    config = DataConfig(transforms=transforms, buckets=SQUARE, max_objects=2, mask_size=14)
    row = augment(example, generators(seed), config, (64, 64))
    white = row.images[..., 0] >= 128
    y, x = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    expected = [x[0], y[0], x[-1] + 1, y[-1] + 1]
    np.testing.assert_allclose(row.ground_truth.boxes[0], expected, atol=1.01)
    assert row.ground_truth.masks[0].mean() > 0.9


def named(transform: Transform, name: str) -> Transform:
    """The same with a name of its own."""
    kind = type(name, (type(transform),), {"name": name})
    return kind(**vars(transform))


def test_mirroring_then_turning_is_what_it_says():
    """A turn after a flip: the image of the flip, turned."""
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)[..., None].repeat(3, axis=2)
    for seed in range(6):
        placement = Rotate90(1.0).place(whole((3, 4), (3, 4), flip=True), (4, 4), np.random.default_rng(seed))
        shown = place_image(image, placement, placement.shown)
        turned = [np.rot90(image[:, ::-1], turns) for turns in (1, 2, 3)]
        assert any(shown.shape == other.shape and (shown == other).all() for other in turned)
        rng = np.random.default_rng(seed)
        assert rng.random() < 1
        np.testing.assert_array_equal(shown, turned[int(rng.integers(1, 4)) - 1])


def test_a_window_is_resized_with_what_it_shows():
    placement = Placement((40, 80), (40, 80), offset=(10, 20), window=(20, 30), flip=False)
    # Twice as large: everything doubles. 60 of width 30 and 40 of height 20.
    assert resized_window(placement, (40, 60)) == Placement((40, 80), (80, 160), (20, 40), (40, 60), False)
    assert cropped(placement, (1, 2), (5, 6)) == Placement((40, 80), (40, 80), (11, 22), (5, 6), False)


def test_random_crops_keep_proportions_and_range():
    rng = np.random.default_rng(0)
    placements = [RandomCrop(0.5).place(whole((40, 80), (40, 80), flip=False), (64, 96), rng) for _ in range(500)]
    heights = np.array([placement.window[0] for placement in placements])
    assert heights.min() >= 20 and heights.max() <= 40 and heights.min() < 22 and heights.max() > 38
    assert all(abs(2 * h - w) <= 1 for h, w in (placement.window for placement in placements))
    assert all((np.add(p.offset, p.window) <= p.resized).all() for p in placements)
    never = RandomCrop(0.5, probability=0.0).place(whole((40, 80), (40, 80), flip=False), (64, 96), rng)
    assert never == whole((40, 80), (40, 80), flip=False)


def test_turned_images_need_square_room():
    sizes = np.array([[30, 40], [64, 20]])
    config = DataConfig(transforms=(Resize((32,), 64), Rotate90()), buckets=SQUARE)
    # The shorter side becomes 32, the longer 43, and 20 × 64 becomes 20 × 64 as 64 is the longest: squares of these.
    assert config.largest(sizes).tolist() == [[43, 43], [64, 64]]


def test_scale_jitter_crops_what_a_crop_shows():
    placement = cropped(whole((60, 60), (60, 60), flip=False), (10, 20), (30, 30))
    rng = np.random.default_rng(1)
    for _ in range(100):
        found = ScaleJitter(0.5, 2.0).place(placement, (48, 48), rng)
        assert found.window[0] <= 48 and found.window[1] <= 48
        scale = np.divide(found.resized, 60)
        assert (np.array(found.offset) >= np.array([10, 20]) * scale - 1).all()
        assert (np.add(found.offset, found.window) <= np.array([40, 50]) * scale + 1).all()


def test_an_image_larger_than_its_bucket_is_an_error():
    with pytest.raises(
        ConfigError, match=r"data.transforms = \['resize'\]: make an image of \(40, 40\) pixels \(80, 80\)"
    ):
        draw_placement((40, 40), generators(), DataConfig(transforms=(Resize((80,), 80),)), (64, 64))


def test_new_transforms_change_no_draw_of_the_others():
    example = example_of((40, 50), 3, 3, 20, 30)
    old = DataConfig(transforms=(Flip(0.5), ScaleJitter(0.3, 1.0)), buckets=SQUARE)
    new = DataConfig(transforms=(Rotate90(0.0), Flip(0.5), ScaleJitter(0.3, 1.0), RandomCrop(0.5, 0.0)), buckets=SQUARE)
    for seed in range(10):
        one, other = (augment(example, generators(seed), config, (64, 64)) for config in (old, new))
        np.testing.assert_array_equal(one.images, other.images)


def test_a_generator_of_its_own_depends_on_seed_and_name_alone():
    def draw(key: tuple[int, ...], transform: Transform, consumed: int = 0) -> float:
        made = Generators(np.random.default_rng(key))
        made.shared.random(consumed)
        assert made.of(transform) is made.of(transform)
        return made.of(transform).random()

    assert draw((0, 1, 2), Rotate90()) == draw((0, 1, 2), Rotate90(), consumed=5)
    assert len({draw(key, t) for key in ((0, 1, 2), (0, 1, 3)) for t in (Rotate90(), RandomCrop())}) == 4
    flip = Generators(rng := np.random.default_rng(0)).of(Flip())
    assert flip is rng


BAD = [
    (Resize(()), r"x.shortest_edges = \(\): must hold"),
    (Resize((0, 800)), r"x.shortest_edges = 0: must be positive"),
    (Resize((800,), 799), r"x.longest_edge = 799: must not be below 800, of x.shortest_edges"),
    (ScaleJitter(2.0, 0.1), r"x = \(2.0, 0.1\): must be \(low, high\)"),
    (ScaleJitter(0.0, 2.0), r"x = \(0.0, 2.0\)"),
    (Flip(1.1), r"x.probability = 1.1: must lie between 0 and 1"),
    (RandomCrop(0.0), r"x.low = 0.0: must be above 0"),
    (RandomCrop(0.5, -1.0), r"x.probability"),
    (Rotate90(2.0), r"x.probability"),
]


@pytest.mark.parametrize(("transform", "message"), BAD)
def test_transforms_check_themselves(transform: Transform, message: str):
    with pytest.raises(ConfigError, match=message):
        transform.validate("x")
