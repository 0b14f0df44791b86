import hashlib
import pickle

import cv2
import numpy as np
import pycocotools.mask
import pytest

from maskrcnn_jax.config import ConfigError, Kind, ShapesSource
from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.data.sources.shapes import Shape, Shapes, draw, silhouette

BLACK = np.zeros(3, np.uint8)
KINDS: tuple[Kind, ...] = ("square", "circle", "triangle")
NEW: tuple[Kind, ...] = ("star", "ring", "cross")


def test_an_image_is_a_function_of_its_index():
    a, b = Shapes(ShapesSource(seed=3))[17], Shapes(ShapesSource(seed=3, first=10))[7]
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    assert a.image_id == b.image_id == 17
    assert (Shapes(ShapesSource(seed=4))[17].image != a.image).any()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ShapesSource(), "f8c3ab4e4087dc913c6b32e86579ed14ea68b8844438227ba6b5daeb8106c1e8"),
        (
            ShapesSource(seed=7, image_size=96, first=1000, max_objects=8),
            "d738d15e6c8edf3e581eb8d21141bfca2fa35aeb43d8ffcf6390ad025a1986ce",
        ),
    ],
    ids=["default", "other"],
)
def test_images_stay_the_same_for_ever(config: ShapesSource, expected: str):
    """A hundred of each, as they were when there were three kinds: stored results stay comparable."""
    content = hashlib.sha256()
    for index in range(100):
        example = Shapes(config)[index]
        for array in (example.image, example.labels, example.boxes, *example.masks):
            content.update(array.tobytes())
    assert content.hexdigest() == expected


def test_kinds_decide_the_classes():
    """Labels count in the order given; where and how large the shapes are does not depend on the kinds."""
    source, plain = Shapes(ShapesSource(kinds=("ring", "star"))), Shapes(ShapesSource())
    assert (source.class_names, source.category_ids) == (("ring", "star"), (1, 2))
    assert [c["name"] for c in Shapes(ShapesSource(kinds=NEW, count=1)).coco()["categories"]] == [*NEW]
    labels = np.concatenate([source[i].labels for i in range(100)])
    assert set(labels.tolist()) == {0, 1}
    rings = [m for i in range(100) for label, m in zip(source[i].labels, source[i].masks, strict=True) if label == 0]
    assert sum(_holes(mask) > 0 for mask in rings) > len(rings) / 2  # the others are partly hidden
    other = Shapes(ShapesSource(kinds=NEW))
    for index in range(20):
        assert other[index].image[0, 0].tolist() == plain[index].image[0, 0].tolist()
        np.testing.assert_array_equal(other[index].labels, Shapes(ShapesSource(kinds=NEW[::-1]))[index].labels)


def _holes(mask: np.ndarray) -> int:
    _, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return 0 if hierarchy is None else int(np.count_nonzero(hierarchy[0, :, 3] >= 0))


def test_square_by_hand():
    # Half-size 2 around (5, 4): pixels 3 … 7 and 2 … 6, so the box ends at 8 and 7.
    example = draw(1, 12, BLACK, [Shape("square", 5, 4, 2, (10, 20, 30))], KINDS)
    assert example.boxes.tolist() == [[3, 2, 8, 7]]
    expected = np.zeros((12, 12), np.uint8)
    expected[2:7, 3:8] = 1
    np.testing.assert_array_equal(example.masks[0], expected)
    np.testing.assert_array_equal(example.image, expected[..., None] * np.array([10, 20, 30], np.uint8))


def test_later_shapes_hide_earlier_ones():
    left, right = Shape("square", 8, 8, 4, (1, 1, 1)), Shape("square", 12, 8, 4, (2, 2, 2))
    example = draw(1, 24, BLACK, [left, right], KINDS)
    # The left covers columns 4 … 12, the right 8 … 16: 4 … 7 of the left remain.
    assert example.boxes.tolist() == [[4, 4, 8, 13], [8, 4, 17, 13]]
    assert not (example.masks[0] & example.masks[1]).any()


def test_hidden_shape_is_left_out():
    hidden, cover = Shape("circle", 10, 10, 3, (1, 1, 1)), Shape("square", 10, 10, 5, (2, 2, 2))
    example = draw(1, 24, BLACK, [hidden, cover], ("square", "circle"))
    assert example.labels.tolist() == [0] and len(example.masks) == 1


def test_what_is_seen_through_a_ring_is_not_the_rings():
    behind, ring = Shape("square", 20, 20, 3, (1, 1, 1)), Shape("ring", 20, 20, 12, (2, 2, 2))
    example = draw(1, 40, BLACK, [behind, ring], ("ring", "square"))
    # The hole has a radius of 6: the square of half-size 3 shows whole.
    assert example.labels.tolist() == [1, 0]
    assert example.masks[0].sum() == 7**2 and not (example.masks[0] & example.masks[1]).any()


def test_cross_by_hand():
    # Half-size 3 around (3, 3), arms 1 to each side of the middle.
    expected = np.zeros((7, 7), np.uint8)
    expected[2:5, :] = expected[:, 2:5] = 1
    np.testing.assert_array_equal(silhouette(Shape("cross", 3, 3, 3, (9, 9, 9)), 7), expected)


R = 30
AREAS: dict[Kind, float] = {
    "square": 61**2,  # (2r + 1)²
    "circle": np.pi * R**2,
    "triangle": 2 * R**2 / np.sin(np.pi / 3),  # half of base 2r / sin 60° × height 2r
    # Ten triangles of two spokes, r and 0.4 r, 36° apart, and half of the outline, as pixels on it count in full.
    "star": 5 * R * 0.4 * R * np.sin(np.pi / 5) + 5 * R * np.sqrt(1 + 0.4**2 - 0.8 * np.cos(np.pi / 5)),
    "ring": np.pi * (R**2 - (R / 2) ** 2),
    "cross": 2 * 61 * 21 - 21**2,  # two bars less the square where they cross
}


@pytest.mark.parametrize("kind", AREAS)
def test_area(kind: Kind):
    mask = silhouette(Shape(kind, 64, 64, R, (9, 9, 9)), 128)
    assert mask.sum() == pytest.approx(AREAS[kind], rel=0.05)
    assert _holes(mask) == (kind == "ring")


def test_statistics_of_many_images():
    source = Shapes(ShapesSource(count=500))
    examples = [source[i] for i in range(500)]
    assert {len(example.boxes) for example in examples} == {1, 2, 3, 4}
    labels = np.concatenate([example.labels for example in examples])
    assert (np.bincount(labels) > 0.25 * len(labels)).all()
    for example in examples:
        assert example.image.shape == (128, 128, 3) and not example.is_crowd.any()
        for box, mask in zip(example.boxes, example.masks, strict=True):
            x, y, width, height = cv2.boundingRect(mask)
            assert box.tolist() == [x, y, x + width, y + height]
            assert len(np.unique(example.image[mask > 0], axis=0)) == 1
        assert np.sum(example.masks, axis=0).max() == 1


def test_is_a_source():
    source = Shapes(ShapesSource(count=10, image_size=96))
    assert isinstance(source, ImageSource) and len(source) == 10
    assert source.sizes.tolist() == [[96, 96]] * 10
    assert all(len(source[i].boxes) <= source.num_objects[i] for i in range(10))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3].image, source[3].image)
    assert [example.image_id for example in source] == list(range(10)) == list(source.image_ids)
    assert [Shapes(ShapesSource(first=70, count=3))[i].image_id for i in range(3)] == [70, 71, 72]
    assert list(Shapes(ShapesSource(first=70, count=3)).image_ids) == [70, 71, 72]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_form():
    source = Shapes(ShapesSource(count=5, first=100))
    truth = source.coco()
    assert [image["id"] for image in truth["images"]] == [100, 101, 102, 103, 104]
    assert [c["name"] for c in truth["categories"]] == ["square", "circle", "triangle"]
    examples = [source[i] for i in range(5)]
    flat = [(e, k) for e in examples for k in range(len(e.boxes))]
    assert [a["id"] for a in truth["annotations"]] == list(range(1, len(flat) + 1))
    for annotation, (example, k) in zip(truth["annotations"], flat, strict=True):
        assert annotation["image_id"] == example.image_id
        assert annotation["category_id"] == example.labels[k] + 1
        np.testing.assert_array_equal(pycocotools.mask.decode(annotation["segmentation"]), example.masks[k])
        assert annotation["bbox"] == pycocotools.mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["area"] == example.masks[k].sum()


def test_image_too_small_for_the_margins():
    with pytest.raises(ConfigError, match="image_size = 32"):
        Shapes(ShapesSource(image_size=32))
