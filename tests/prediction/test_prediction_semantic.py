"""The best object's class at each pixel, as numbers and as colours."""

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.draw.colors import PALETTE, distinct_color
from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.prediction.semantic import class_table, label_map, save_label_map
from maskrcnn_jax.structs import Detections


def found(scores, labels, masks, valid=None):
    count = len(scores)
    valid = np.ones(count, bool) if valid is None else np.array(valid)
    boxes = np.zeros((count, 4), np.float32)
    return Detections(boxes, np.array(scores, np.float32), np.array(labels, np.int32), valid, masks)


def test_the_best_object_is_on_top():
    masks = np.zeros((3, 2, 4), bool)
    masks[0, :, :2] = masks[1, 0, 1:] = masks[2] = True
    labels = label_map(found([0.9, 0.8, 0.99], [4, 0, 2], masks, valid=[True, True, False]), (2, 4))
    # Label 4 is value 5, on the left; label 0 value 1, in the first row but where the better one is.
    assert labels.tolist() == [[5, 5, 1, 1], [5, 5, 0, 0]]


def test_crops_fill_their_place():
    patch = Patch(np.ones((28, 28), np.float32), np.array([2, 1, 4, 3], np.float32), (0, 0, 6, 5))
    labels = label_map(found([0.9], [6], Crops([(patch,)])), (5, 6))
    assert (labels == 7).sum() == 4 and (labels[1:3, 2:4] == 7).all() and (labels == 0).sum() == 26


def test_nothing_is_background():
    assert (label_map(found([], [], np.zeros((0, 3, 4), bool)), (3, 4)) == 0).all()


def test_without_masks():
    with pytest.raises(ValueError, match="without masks"):
        label_map(found([0.9], [1], None), (3, 4))


def test_a_png_of_values_with_colours(tmp_path):
    labels = np.array([[0, 1, 2], [8, 80, 80]], np.uint16)
    save_label_map(tmp_path / "deep" / "map.png", labels, 80)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["map.png"]
    image = Image.open(tmp_path / "deep" / "map.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), labels)
    colors = np.asarray(image.convert("RGB"))
    assert colors[0].tolist() == [[0, 0, 0], list(PALETTE[0]), list(PALETTE[1])]
    assert colors[1, 1].tolist() == list(distinct_color(79))


def test_more_classes_than_a_palette_holds(tmp_path):
    labels = np.array([[0, 300, 65535]], np.uint16)
    save_label_map(tmp_path / "map.png", labels, 300)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "map.png")), labels)


def test_the_table_names_every_value():
    assert class_table(("cat",), 1) == [
        {"value": 0, "name": "background", "color": [0, 0, 0]},
        {"value": 1, "name": "cat", "color": list(PALETTE[0])},
    ]
    assert [row["name"] for row in class_table((), 2)] == ["background", "0", "1"]
