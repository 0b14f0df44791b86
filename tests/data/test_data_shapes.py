import pickle

import cv2
import numpy as np
import pycocotools.mask
import pytest

from maskrcnn_jax.config import ConfigError, ShapesSource
from maskrcnn_jax.data.shapes import CIRCLE, SQUARE, TRIANGLE, Shape, Shapes, draw, extent_iou
from maskrcnn_jax.data.source import ImageSource

BLACK = np.zeros(3, np.uint8)


def test_a_picture_is_a_function_of_its_index():
    a, b = Shapes(ShapesSource(seed=3))[17], Shapes(ShapesSource(seed=3, first=10))[7]
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    assert a.image_id == b.image_id == 17
    assert (Shapes(ShapesSource(seed=4))[17].image != a.image).any()


def test_square_by_hand():
    # Half-size 2 around (5, 4): pixels 3 … 7 and 2 … 6, so the box ends at 8 and 7.
    example = draw(1, 12, BLACK, [Shape(SQUARE, 5, 4, 2, (10, 20, 30))])
    assert example.boxes.tolist() == [[3, 2, 8, 7]]
    expected = np.zeros((12, 12), np.uint8)
    expected[2:7, 3:8] = 1
    np.testing.assert_array_equal(example.masks[0], expected)
    np.testing.assert_array_equal(example.image, expected[..., None] * np.array([10, 20, 30], np.uint8))


def test_later_shapes_hide_earlier_ones():
    left, right = Shape(SQUARE, 8, 8, 4, (1, 1, 1)), Shape(SQUARE, 12, 8, 4, (2, 2, 2))
    example = draw(1, 24, BLACK, [left, right])
    # The left covers columns 4 … 12, the right 8 … 16: 4 … 7 of the left remain.
    assert example.boxes.tolist() == [[4, 4, 8, 13], [8, 4, 17, 13]]
    assert not (example.masks[0] & example.masks[1]).any()


def test_hidden_shape_is_left_out():
    hidden, cover = Shape(CIRCLE, 10, 10, 3, (1, 1, 1)), Shape(SQUARE, 10, 10, 5, (2, 2, 2))
    example = draw(1, 24, BLACK, [hidden, cover])
    assert example.labels.tolist() == [SQUARE] and len(example.masks) == 1


def test_areas_of_the_classes():
    # πr² for the circle; half of base (2r / sin 60°) × height 2r for the triangle; (2r + 1)² for the square.
    r = 30
    areas = [draw(1, 128, BLACK, [Shape(label, 64, 64, r, (9, 9, 9))]).masks[0].sum() for label in range(3)]
    assert areas[SQUARE] == 61**2
    assert areas[CIRCLE] == pytest.approx(np.pi * r**2, rel=0.05)
    assert areas[TRIANGLE] == pytest.approx(2 * r**2 / np.sin(np.pi / 3), rel=0.05)


def test_extent_iou():
    # Sides 20, shifted by 10: 200 / (400 + 400 - 200); shifted by 20: they only touch.
    a = Shape(SQUARE, 50, 50, 10, (0, 0, 0))
    assert extent_iou(a, a._replace(x=60)) == pytest.approx(1 / 3)
    assert extent_iou(a, a._replace(x=70)) == 0
    assert extent_iou(a, a) == 1


def test_statistics_of_many_pictures():
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
    assert [example.image_id for example in source] == list(range(10))


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


def test_picture_too_small_for_the_margins():
    with pytest.raises(ConfigError, match="image_size = 32"):
        Shapes(ShapesSource(image_size=32))
