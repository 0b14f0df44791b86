"""Objects of a large image are found once each, whole, wherever tiles cut them."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskrcnn_jax.config import DetectConfig, InputConfig, ModelConfig
from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.prediction.merge_tiles import gather, join
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.prediction.tiling import detect_tiled, native_shape, tile
from maskrcnn_jax.structs import Detections

SIDE = 64


class BrightParts(Predictor):
    """Finds each connected bright part of an image perfectly, and only within that image."""

    def __init__(self, *, masks: bool = True, batch_size: int = 3):
        size = InputConfig(shortest_edge=SIDE, longest_edge=SIDE, buckets=((SIDE, SIDE),))
        self.config = ModelConfig(num_classes=2, input=size, detect=DetectConfig())
        self.batch_size = batch_size
        self.masks = masks
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images, proposals=None):
        assert len(images) <= self.batch_size
        self.seen += [image.shape[:2] for image in images]
        return [self.find(image) for image in images]

    def find(self, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] >= 128).astype(np.uint8))
        stats = stats[1:][stats[1:, 2:4].min(axis=1) >= 3]
        boxes = np.concatenate([stats[:, :2], stats[:, :2] + stats[:, 2:4]], axis=1).astype(np.float32)
        count = len(boxes)
        patches = [(Patch(np.ones((28, 28), np.float32), box, (0, 0, width, height)),) for box in boxes]
        masks = Crops(patches) if self.masks else None
        scores = np.full(count, 0.9, np.float32)
        return Detections(boxes, scores, np.zeros(count, np.int32), np.ones(count, bool), masks)


def make_image(height: int, width: int, boxes) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = 255
    return image


def matched(found: Detections, boxes, tolerance: float) -> bool:
    expected = np.array(sorted(boxes), float).reshape(-1, 4)
    got = np.array(sorted(found.boxes.tolist()), float).reshape(-1, 4)
    return expected.shape == got.shape and bool((np.abs(expected - got) <= tolerance).all())


def test_tiles_by_hand():
    # 100 wide, tiles of 40 that share 10 at least: steps of 30, so 0, 30 and 60 reach the end.
    assert tile((30, 100), (40, 40), 0.25) == [(0, 0, 40, 30), (30, 0, 70, 30), (60, 0, 100, 30)]
    # 101 wide: a fourth tile, and the starts 61/3 apart: 0, 20.3, 40.7, 61.
    assert [window[0] for window in tile((40, 101), (40, 40), 0.25)] == [0, 20, 41, 61]
    assert tile((50, 50), (40, 50), 0.5) == [(0, 0, 50, 40), (0, 10, 50, 50)]
    assert tile((5, 5), (40, 40)) == [(0, 0, 5, 5)]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 80), st.integers(1, 80), st.floats(0, 0.9))
def test_tiles_cover_the_image_and_overlap(height, width, tall, wide, overlap):
    windows = tile((height, width), (tall, wide), overlap)
    seen = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in windows:
        assert (y1 - y0, x1 - x0) == (min(tall, height), min(wide, width))
        seen[y0:y1, x0:x1] = True
    assert seen.all()
    for starts, side in ((sorted({w[0] for w in windows}), wide), (sorted({w[1] for w in windows}), tall)):
        # Evenly spread starts are rounded, by a pixel at most.
        assert all(a + side - b >= np.floor(side * overlap) - 1 for a, b in pairwise(starts))


@pytest.mark.parametrize(("shape", "overlap"), [((0, 5), 0.2), ((5, 5), 1.0), ((5, 5), -0.1)])
def test_impossible_tiles(shape, overlap):
    with pytest.raises(ValueError, match="positive sides, an overlap in"):
        tile((9, 9), shape, overlap)


def test_the_network_looks_at_its_own_pixels():
    assert native_shape(InputConfig(shortest_edge=800, longest_edge=1333)) == (800, 1333)
    assert native_shape(InputConfig(shortest_edge=800, longest_edge=1024, enlarge_only=True)) == (1024, 1024)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(
    "box",
    [
        (10, 10, 30, 30),
        (50, 20, 75, 40),
        (20, 60, 100, 75),
        (5, 5, 150, 150),
        (3, 80, 190, 100),
        (100, 2, 112, 188),
        (60, 60, 68, 68),
        (0, 0, 200, 200),
    ],
    ids=["inside one", "cut by one", "longer than a tile", "larger", "across all", "tall", "at a corner", "everything"],
)
def test_one_object_is_found_once(box, masks):
    found = detect_tiled(BrightParts(masks=masks), make_image(200, 200, [box]))
    assert matched(found, [box], 4)  # at a quarter of the size a pixel is four
    assert found.valid.all() and found.scores.tolist() == pytest.approx([0.9])
    if masks:
        x0, y0, x1, y1 = box
        crop = found.masks[0]
        assert crop.mask.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.15)


cells = st.lists(st.booleans(), min_size=30, max_size=30)


@settings(max_examples=15)
@given(cells, st.integers(10, 32), st.booleans())
@example([True] * 30, 32, True)
def test_many_objects_are_found_once_each(there, side, masks):
    """Squares on a grid: gaps of 16 pixels are left of it at a quarter of the size."""
    corners = [(48 * (i % 6) + 3, 48 * (i // 6) + 3) for i in range(30) if there[i]]
    boxes = [(x, y, x + side, y + side) for x, y in corners]
    found = detect_tiled(BrightParts(masks=masks), make_image(240, 288, boxes))
    assert matched(found, boxes, 1)


def test_a_small_image_is_predicted_once():
    predictor = BrightParts()
    found = detect_tiled(predictor, make_image(SIDE, 40, [(5, 5, 20, 20)]))
    assert predictor.seen == [(SIDE, 40)] and matched(found, [(5, 5, 20, 20)], 0)


def test_half_the_size_until_one_tile_holds_it():
    predictor = BrightParts()
    assert len(detect_tiled(predictor, make_image(150, 64, [])).boxes) == 0
    # Height 150: steps of 48, so 0, 43, 86; 75 × 32: tiles of 64 × 32 at 0 and 11; then what fits, 64 × 27.
    assert predictor.seen == [(64, 64)] * 3 + [(64, 32)] * 2 + [(64, 27)]


def test_joining_by_hand():
    """Two windows of 60 that share columns 40 to 60 of an image of 100 see the ends of a bar from 20 to 80."""
    one, other = (0, 0, 60, 30), (40, 0, 100, 30)
    left = gather(one_box(20, 10, 60, 20, score=0.8), one, (1.0, 1.0), (30, 100))
    right = gather(one_box(0, 10, 40, 20, score=0.7), other, (1.0, 1.0), (30, 100))
    assert left.cut.tolist() == right.cut.tolist() == [True]
    assert right.boxes.tolist() == [[40, 10, 80, 20]]
    joined = join([left, right], 0.5)
    assert joined.boxes.tolist() == [[20, 10, 80, 20]] and joined.scores.tolist() == pytest.approx([0.8])
    # What only one of them shows, or shows as another class, or elsewhere, is no part of it.
    for stranger in (
        right._replace(labels=right.labels + 1),
        right._replace(boxes=right.boxes + np.array([0, 8, 0, 8])),
    ):
        assert join([left, stranger], 0.5).boxes.tolist() == [[20, 10, 60, 20], *stranger.boxes.tolist()]
    # What hardly counts is not heard: a whole sighting of half the score, and less.
    whole = gather(one_box(10, 4, 40, 11, score=0.39), (0, 0, 50, 15), (2.0, 2.0), (30, 100))
    assert join([left, right, whole], 0.5).boxes.tolist() == [[20, 10, 80, 20]]
    whole = whole._replace(scores=np.array([0.5]), boxes=np.array([[21.0, 9, 82, 21]]))
    assert join([left, right, whole], 0.5).boxes.tolist() == [[21, 9, 82, 21]]


def test_leftovers_of_cut_objects_are_no_objects():
    """A tile with the last 8 columns of a square detects a narrower object."""
    whole = gather(one_box(20, 5, 60, 25, score=0.7), (0, 0, 80, 30), (1.0, 1.0), (30, 140))
    # Columns 52 to 60 against 52 to 56 where both look: half agrees, not more. All of it lies in the square.
    rest = gather(one_box(0, 5, 4, 25, score=0.9), (52, 0, 132, 30), (1.0, 1.0), (30, 140))
    assert join([whole, rest], 0.5).boxes.tolist() == [[20, 5, 60, 25]]
    assert len(join([whole, rest._replace(labels=rest.labels + 1)], 0.5).boxes) == 2


def test_of_two_whole_sightings_the_finer_is_taken():
    fine = gather(one_box(20, 10, 40, 20, score=0.7), (0, 0, 60, 30), (1.0, 1.0), (30, 100))
    coarse = gather(one_box(10, 5, 21, 10, score=0.9), (0, 0, 50, 15), (2.0, 2.0), (30, 100))
    for order in ([fine, coarse], [coarse, fine]):
        found = join(order, 0.5)
        assert found.boxes.tolist() == [[20, 10, 40, 20]] and found.scores.tolist() == pytest.approx([0.9])


def one_box(*box: float, score: float) -> Detections:
    boxes = np.array([box], np.float32)
    return Detections(boxes, np.array([score], np.float32), np.zeros(1, np.int32), np.ones(1, bool), None)


def test_low_scores_confirm_and_are_left_out():
    class Unsure(BrightParts):
        """Its scores are higher in the middle of its image."""

        def find(self, image):
            found = super().find(image)
            middle = found.boxes[:, [0, 2]].mean(axis=1) - image.shape[1] / 2
            return found._replace(scores=np.where(np.abs(middle) < 16, 0.9, 0.4).astype(np.float32))

    box = (50, 20, 75, 40)  # of the tiles at 0, 34 and 68 … 128 the second has it in its middle
    found = detect_tiled(Unsure(), make_image(64, 192, [box]), min_score=0.5)
    assert matched(found, [box], 2) and found.scores.tolist() == pytest.approx([0.9])
    assert len(detect_tiled(Unsure(), make_image(64, 192, [box]), min_score=0.95).boxes) == 0
