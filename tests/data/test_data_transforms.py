import dataclasses

import cv2
import numpy as np
import pytest

from maskrcnn_jax.config import ColorJitter, ConfigError, DataConfig, Flip, InputConfig, Resize, ScaleJitter
from maskrcnn_jax.data.augment import augment, draw_placement
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.color_jitter import jitter_color
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.geometry import fit, place_objects
from maskrcnn_jax.data.transforms.placement import Placement, place_boxes, place_image, shortest_edge_placement
from maskrcnn_jax.data.transforms.resize import resize

JITTER = DataConfig(transforms=(Flip(), ScaleJitter(0.1, 2.0)), buckets=((64, 96),), max_objects=8, mask_size=28)


def image_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def example_of(size: tuple[int, int], *rectangles: tuple[int, int, int, int]) -> Example:
    """An image with rectangular objects `(x0, y0, x1, y1)`, labelled 0, 1, …"""
    masks = []
    for x0, y0, x1, y1 in rectangles:
        mask = np.zeros(size, np.uint8)
        mask[y0:y1, x0:x1] = 1
        masks.append(mask)
    n = len(rectangles)
    boxes = np.array(rectangles, np.float32).reshape(-1, 4)
    return Example(image_of(*size), 5, boxes, np.arange(n, dtype=np.int32), np.zeros(n, bool), masks)


def blobs(size: tuple[int, int], seed: int) -> Example:
    """An image with five random ellipses."""
    rng = np.random.default_rng(seed)
    height, width = size
    masks, boxes = [], []
    for _ in range(5):
        mask = np.zeros(size, np.uint8)
        center = rng.integers((width // 5, height // 5), (width * 4 // 5, height * 4 // 5)).tolist()
        cv2.ellipse(mask, center, rng.integers(12, 60, 2).tolist(), int(rng.integers(180)), 0, 360, 1, cv2.FILLED)
        x, y, w, h = cv2.boundingRect(mask)
        masks.append(mask)
        boxes.append((x, y, x + w, y + h))
    return Example(image_of(*size), 1, np.array(boxes, np.float32), np.zeros(5, np.int32), np.zeros(5, bool), masks)


def expand(crop: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask crop put back over its box: bilinear, at the centres of the pixels."""
    side = crop.shape[0]
    x0, y0, x1, y1 = box.astype(np.float64)
    x = ((np.arange(size[1]) + 0.5 - x0) / (x1 - x0) * side - 0.5).astype(np.float32)
    y = ((np.arange(size[0]) + 0.5 - y0) / (y1 - y0) * side - 0.5).astype(np.float32)
    return cv2.remap(crop.astype(np.float32), *np.meshgrid(x, y), cv2.INTER_LINEAR, borderValue=0) >= 0.5


def test_fit_by_hand():
    # 30 × 50: the shorter side gets 60; 50 · 2 = 100. Both buckets hold it, the second is smaller.
    fitted = fit(image_of(30, 50), InputConfig(shortest_edge=60, longest_edge=100, buckets=((128, 128), (64, 128))))
    assert fitted.image.shape == (64, 128, 3) and fitted.image.dtype == np.uint8
    assert fitted.size.tolist() == [60, 100] and fitted.scale == (2.0, 2.0)
    assert not fitted.image[60:].any() and not fitted.image[:, 100:].any()
    expected = cv2.resize(image_of(30, 50), (100, 60), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(fitted.image[:60, :100], expected)


def test_fit_tells_the_scale_of_each_side():
    # 427 · 800 / 427 and 640 · 800 / 427 = 1199.06, rounded to 1199.
    fitted = fit(image_of(640, 427), InputConfig(shortest_edge=800, longest_edge=1333, buckets=((1344, 832),)))
    assert fitted.scale == (800 / 427, 1199 / 640)


def test_fit_without_resizing_copies():
    fitted = fit(image_of(32, 48), InputConfig(shortest_edge=32, longest_edge=64, buckets=((32, 64),)))
    np.testing.assert_array_equal(fitted.image[:, :48], image_of(32, 48))


def test_fit_names_an_image_that_fits_nowhere():
    with pytest.raises(ConfigError, match="60×100"):
        fit(image_of(30, 50), InputConfig(shortest_edge=60, longest_edge=100, buckets=((64, 64),)))


def test_fit_centers():
    # 60 × 100 in 64 × 129: 2 pixels above, ⌊29 / 2⌋ = 14 on the left.
    plain = InputConfig(shortest_edge=60, longest_edge=100, buckets=((64, 129),))
    corner = fit(image_of(30, 50), plain)
    middle = fit(image_of(30, 50), dataclasses.replace(plain, centered=True))
    np.testing.assert_array_equal(middle.image[2:62, 14:114], corner.image[:60, :100])
    assert middle.image.sum() == corner.image.sum()  # and black around it
    assert middle.size.tolist() == [60, 100] and middle.scale == corner.scale


def test_fit_without_buckets_keeps_the_floats():
    config = InputConfig(shortest_edge=45, longest_edge=100, floor_size=True, interpolation="exact", buckets=())
    fitted = fit(image_of(31, 50), config)  # 50 · 45 / 31 = 72.58
    assert fitted.image.shape == (64, 96, 3) and fitted.image.dtype == np.float32
    assert fitted.size.tolist() == [45, 72] and fitted.scale == (72 / 50, 45 / 31)
    np.testing.assert_array_equal(fitted.image[:45, :72], resize(image_of(31, 50), (45, 72), "exact"))
    assert not fitted.image[45:].any() and not fitted.image[:, 72:].any()


def test_boxes_by_hand():
    # Doubled, moved by the window's corner (10, 4), mirrored in a window 40 wide.
    boxes = np.array([[7.0, 5.0, 12.0, 9.0]], np.float32)
    placement = Placement((30, 50), (60, 100), offset=(4, 10), window=(32, 40), flip=False)
    assert place_boxes(boxes, placement).tolist() == [[4, 6, 14, 14]]
    assert place_boxes(boxes, placement._replace(flip=True)).tolist() == [[26, 6, 36, 14]]
    # Mirroring is the window's business, and then the window is put down at x = 3, y = 5.
    assert place_boxes(boxes, placement._replace(flip=True, origin=(5, 3))).tolist() == [[29, 11, 39, 19]]


def test_flipping_twice_changes_nothing():
    placement = Placement((20, 30), (20, 30), (0, 0), (20, 30), flip=True)
    image = image_of(20, 30)
    once = place_image(image, placement, (32, 32))[:20, :30]
    assert (once != image).any()
    np.testing.assert_array_equal(place_image(np.ascontiguousarray(once), placement, (20, 30)), image)
    boxes = np.array([[1.5, 2, 8, 9], [0, 0, 30, 20]], np.float32)
    np.testing.assert_array_equal(place_boxes(place_boxes(boxes, placement), placement), boxes)


def test_image_and_boxes_are_transformed_alike():
    # A white rectangle is found where its box says, for every kind of placement.
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:40, 30:60] = 255
    box = np.array([[30, 20, 60, 40]], np.float32)
    for flip in (False, True):
        placement = Placement((60, 80), (90, 160), offset=(10, 20), window=(64, 128), flip=flip, origin=(8, 30))
        white = (place_image(image, placement, (96, 160))[..., 0] >= 128).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(white)
        np.testing.assert_allclose(place_boxes(box, placement)[0], [x, y, x + width, y + height], atol=1)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shortest", [120, 333, 500])
def test_masks_and_boxes_agree_with_masks_resized_whole(shortest, flip):
    example = blobs((240, 320), seed=shortest + flip)
    placement = shortest_edge_placement((240, 320), shortest, 1333, flip)
    truth = place_objects(example, placement, max_objects=6, mask_size=112)
    assert truth.valid.tolist() == [True] * 5 + [False]
    np.testing.assert_array_equal(truth.boxes, truth.mask_extent)
    for slot, mask in enumerate(example.masks):
        whole = cv2.resize(mask.astype(np.float32), placement.window[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
        whole = whole[:, ::-1] if flip else whole
        x, y, width, height = cv2.boundingRect(whole.astype(np.uint8))
        np.testing.assert_allclose(truth.boxes[slot], [x, y, x + width, y + height], atol=1)
        ours = expand(truth.masks[slot], truth.mask_extent[slot], placement.window)
        assert (ours & whole).sum() / (ours | whole).sum() > 0.95


def test_window_cuts_objects_by_hand():
    # Seen are x 10 … 30 and y 0 … 20. The first object is cut in half, the second is out of sight.
    example = example_of((40, 40), (5, 5, 15, 15), (32, 22, 38, 38), (12, 2, 18, 8))
    placement = Placement((40, 40), (80, 80), offset=(0, 20), window=(40, 40), flip=False)
    truth = place_objects(example, placement, 4, 8)
    assert truth.valid.tolist() == [True, True, False, False]
    assert truth.boxes[:2].tolist() == [[0, 10, 10, 30], [4, 4, 16, 16]]
    assert truth.labels[:2].tolist() == [0, 2]
    assert truth.masks[:2].all()


def test_cut_object_gets_the_box_of_what_remains():
    # An L: a tall bar at x 0 … 4, a foot at y 16 … 20 that reaches to x = 20. Seen is x ≥ 10: of the foot, no bar.
    example = example_of((40, 40), (0, 0, 20, 20))
    example.masks[0][:16, 4:] = 0
    placement = Placement((40, 40), (40, 40), offset=(0, 10), window=(40, 30), flip=False)
    truth = place_objects(example, placement, 2, 8)
    assert truth.boxes[0].tolist() == [0, 16, 10, 20] and truth.masks[0].all()


def test_object_whose_pixels_are_cut_away_is_left_out():
    # The same L seen from y 0 … 10 and x ≥ 10: inside its box, but no pixel of it.
    example = example_of((40, 40), (0, 0, 20, 20))
    example.masks[0][:16, 4:] = 0
    placement = Placement((40, 40), (40, 40), offset=(0, 10), window=(10, 30), flip=False)
    assert not place_objects(example, placement, 2, 8).valid.any()


def test_largest_objects_fill_the_slots():
    example = example_of((40, 40), (0, 0, 3, 3), (10, 10, 20, 20), (5, 5, 9, 9), (20, 20, 25, 25))
    truth = place_objects(example, shortest_edge_placement((40, 40), 40, 40, flip=False), 2, 8)
    assert truth.labels.tolist() == [1, 3] and truth.valid.all()


def test_crowds_are_marked():
    example = example_of((40, 40), (0, 0, 30, 30), (10, 10, 20, 20))
    example = example._replace(is_crowd=np.array([True, False]))
    truth = place_objects(example, shortest_edge_placement((40, 40), 40, 40, flip=False), 3, 8)
    assert truth.is_crowd.tolist() == [True, False, False]


def test_image_without_objects():
    config = DataConfig(transforms=(Flip(), Resize((40,), 64)), buckets=((64, 64),), max_objects=3, mask_size=8)
    row = augment(example_of((40, 50)), Generators(np.random.default_rng(0)), config, (64, 64))
    assert not row.ground_truth.valid.any() and not row.ground_truth.masks.any()
    assert row.images.shape == (64, 64, 3) and row.image_sizes.tolist() == [40, 50] and row.image_ids == 5


@pytest.mark.parametrize(
    "config",
    [
        DataConfig(transforms=(Flip(), Resize((40, 48), 64)), buckets=((64, 96),), max_objects=5, mask_size=14),
        DataConfig(
            transforms=(Flip(), ScaleJitter(0.3, 1.5), ColorJitter(0.2)),
            buckets=((64, 96),),
            max_objects=5,
            mask_size=14,
        ),
    ],
    ids=["whole", "cut"],
)
def test_centering_shifts_the_image_and_its_objects_alike(config):
    example = blobs((240, 320), seed=3)
    for seed in range(6):
        corner, middle = (
            augment(example, Generators(np.random.default_rng(seed)), config, (64, 96), c) for c in (False, True)
        )
        (height, width), (before, after) = corner.image_sizes.astype(int), (corner.ground_truth, middle.ground_truth)
        y, x = (64 - height) // 2, (96 - width) // 2
        np.testing.assert_array_equal(middle.images[y : y + height, x : x + width], corner.images[:height, :width])
        valid = before.valid
        assert valid.any() and (after.valid == valid).all() and (after.masks == before.masks).all()
        for name in ("boxes", "mask_extent"):
            moved = getattr(before, name)[valid] + np.array([x, y, x, y])
            np.testing.assert_allclose(getattr(after, name)[valid], moved, atol=1e-4)
            assert not getattr(after, name)[~valid].any()
        np.testing.assert_array_equal(middle.image_sizes, corner.image_sizes)


def test_augmentation_depends_on_the_generator_alone():
    config = DataConfig(transforms=(Flip(), Resize((40, 50), 64)), buckets=((64, 64),), max_objects=3, mask_size=8)
    example = example_of((40, 50), (3, 3, 20, 30))
    samples = [augment(example, Generators(np.random.default_rng(seed)), config, (64, 64)) for seed in (1, 1, 2, 3, 4)]
    first, second = ((*sample[:2], *sample.ground_truth) for sample in samples[:2])
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({sample.images.tobytes() for sample in samples}) > 1


def test_multi_scale_and_flip_are_drawn_from_the_settings():
    config = DataConfig(transforms=(Flip(0.25), Resize((32, 48), 64)), buckets=((64, 64),))
    generators = Generators(np.random.default_rng(0))
    drawn = [draw_placement((64, 64), generators, config, (64, 64)) for _ in range(2000)]
    assert {placement.resized for placement in drawn} == {(32, 32), (48, 48)}
    assert np.mean([p.resized[0] == 32 for p in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([p.flip for p in drawn]) == pytest.approx(0.25, abs=0.05)


def test_scale_jitter_stays_inside_bucket_and_range():
    # An image of 48 × 96 fits the bucket 64 × 96 at scale 1, so scales are 0.1 … 2.
    generators = Generators(np.random.default_rng(0))
    drawn = [draw_placement((48, 96), generators, JITTER, (64, 96)) for _ in range(1000)]
    heights = np.array([placement.resized[0] for placement in drawn])
    assert heights.min() >= 5 and heights.max() <= 96 and heights.min() < 10 and heights.max() > 90
    offsets = np.array([placement.offset for placement in drawn])
    for placement in drawn:
        assert placement.window == tuple(np.minimum(placement.resized, (64, 96)))
        assert (np.add(placement.offset, placement.window) <= placement.resized).all()
    assert offsets[heights < 48].max() == 0 and (offsets[heights > 90] > 0).any(axis=0).all()


@pytest.mark.parametrize("seed", range(8))
def test_jittered_objects_lie_in_the_image_and_on_their_masks(seed):
    example = blobs((240, 320), seed)
    config = DataConfig(transforms=(Flip(), ScaleJitter(0.5, 3.0)), buckets=((256, 256),), max_objects=8, mask_size=56)
    row = augment(example, Generators(np.random.default_rng(seed)), config, (256, 256))
    truth, (height, width) = row.ground_truth, row.image_sizes
    boxes = truth.boxes[truth.valid]
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width + 1e-3, height + 1e-3)).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 1 - 1e-3).all()
    # Each box is tight: its mask reaches all four sides.
    for mask in truth.masks[truth.valid]:
        assert mask[:3].any() and mask[-3:].any() and mask[:, :3].any() and mask[:, -3:].any()


class Fixed(np.random.Generator):
    """Gives the same values whatever is asked for."""

    def __init__(self, *values: float):
        super().__init__(np.random.PCG64(0))
        self.values = values

    def uniform(self, *_args):
        return np.array(self.values)


def test_color_jitter_by_hand():
    image = np.array([[[100, 100, 100], [200, 200, 200]]], np.uint8)
    # Brightness 1.2: 120 and 240.
    assert jitter_color(image, 0.4, Fixed(1.2, 1, 1))[0, :, 0].tolist() == [120, 240]
    # Contrast 0.5 around the mean brightness 150: 125 and 175.
    assert jitter_color(image, 0.4, Fixed(1, 0.5, 1))[0, :, 0].tolist() == [125, 175]
    # Gray has no saturation to change.
    np.testing.assert_array_equal(jitter_color(image, 0.4, Fixed(1, 1, 0.6)), image)
    # Without saturation only brightness remains: 0.299 · 200 + 0.587 · 100 + 0.114 · 0 = 118.5.
    gray = jitter_color(np.array([[[200, 100, 0]]], np.uint8), 1.0, Fixed(1, 1, 0))
    np.testing.assert_allclose(gray[0, 0], 118.5, atol=0.5)
    # Out of range is cut off.
    assert jitter_color(image, 0.4, Fixed(1.4, 1, 1))[0, :, 0].tolist() == [140, 255]


def test_color_jitter_changes_the_image_only():
    plain = DataConfig(transforms=(Flip(), Resize((40,), 64)), buckets=((64, 64),), max_objects=3, mask_size=8)
    vivid = DataConfig(
        transforms=(Flip(), Resize((40,), 64), ColorJitter(0.4)), buckets=((64, 64),), max_objects=3, mask_size=8
    )
    example = example_of((40, 50), (3, 3, 20, 30))
    a, b = (augment(example, Generators(np.random.default_rng(0)), config, (64, 64)) for config in (plain, vivid))
    assert (a.images[:40, :50] != b.images[:40, :50]).any()
    for x, y in zip(a.ground_truth, b.ground_truth, strict=True):
        np.testing.assert_array_equal(x, y)
