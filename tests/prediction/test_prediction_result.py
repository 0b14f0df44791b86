"""A result of three objects in an image of 8 × 10 pixels."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval.core import mask as rle

from maskrcnn_jax.data.images.reading import read_image
from maskrcnn_jax.files.ending import WrongEnding
from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.prediction.result import Result
from maskrcnn_jax.structs import Detections

BOXES = np.array([[0, 0, 4, 2], [5, 1, 9, 7], [2, 2, 6, 6]], np.float32)
MASKS = np.zeros((3, 8, 10), bool)
MASKS[0, 0:2, 0:4] = MASKS[1, 1:7, 5:9] = MASKS[2, 2:6, 2:6] = True
SCORES, LABELS = np.array([0.9, 0.6, 0.3], np.float32), np.array([1, 0, 1], np.int32)


def result(masks: np.ndarray | Crops | None = MASKS) -> Result:
    image = np.full((8, 10, 3), 50, np.uint8)
    extras = {"heat": np.array([[1.0], [2.0], [3.0]])}
    return Result(
        image, "street.jpg", Detections(BOXES, SCORES, LABELS, np.ones(3, bool), masks, extras), ("cat", "dog")
    )


def test_arrays_names_and_length():
    found = result()
    assert len(found) == 3 and found.names == ["dog", "cat", "dog"] and found.size == (8, 10)
    assert found.boxes.tolist() == BOXES.tolist() and found.labels.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(found.masks, MASKS)


@pytest.mark.parametrize(
    ("indices", "kept"),
    [
        (slice(0, 2), [0, 1]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0], [2, 0]),
        (np.array([1]), [1]),
        (SCORES > 0.5, [0, 1]),
        (SCORES > 1, []),
    ],
    ids=["slice", "reversed", "list", "indices", "mask", "none"],
)
def test_indexing_gives_a_result(indices, kept: list[int]):
    found = result()[indices]
    assert isinstance(found, Result) and found.source == "street.jpg" and found.class_names == ("cat", "dog")
    np.testing.assert_array_equal(found.boxes, BOXES[kept])
    np.testing.assert_array_equal(found.masks, MASKS[kept])
    np.testing.assert_array_equal(found.extras["heat"][:, 0], np.array([1, 2, 3])[kept])


def test_iteration_gives_objects():
    second = list(result())[1]
    assert (second.score, second.label, second.name) == (pytest.approx(0.6), 0, "cat")
    assert second.box.tolist() == [5, 1, 9, 7]
    np.testing.assert_array_equal(second.mask, MASKS[1])
    assert result()[-1].box.tolist() == [2, 2, 6, 6] and result(None)[0].mask is None
    with pytest.raises(IndexError):
        result()[3]


def test_filter():
    found = result()
    assert found.filter(score=0.5).names == ["dog", "cat"]
    assert found.filter(classes=["dog"]).scores.tolist() == [SCORES[0], SCORES[2]]
    assert found.filter(score=0.5, classes=(1,)).boxes.tolist() == [[0, 0, 4, 2]]
    for wrong, message in (
        ({"classes": ["dgo"]}, "the model has no class 'dgo'; it has dog"),
        ({"classes": "dog"}, r"classes = 'dog': pass several, such as \['dog'\]"),
        ({"score": 50}, r"score = 50: must be in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            found.filter(**wrong)


def test_crops_are_pasted_once_and_not_pickled_whole():
    """A square of certain probabilities covers its box; its corners are cut where it falls to zero outside."""
    ones = np.ones((28, 28), np.float32)
    found = result(Crops([(Patch(ones, box, (0, 0, 10, 8)),) for box in BOXES]))
    assert found.masks is found.masks and found.masks.shape == (3, 8, 10)
    np.testing.assert_array_equal(found.masks, MASKS)
    again = pickle.loads(pickle.dumps(found))
    assert "masks" not in again.__dict__ and isinstance(again.detections.masks, Crops)
    np.testing.assert_array_equal(again.masks, MASKS)
    np.testing.assert_array_equal(found[1].mask, MASKS[1])


def test_to_coco():
    found = result().to_coco(image_id=42)
    assert json.loads(json.dumps(found)) == found
    assert [one["category_id"] for one in found] == [2, 1, 2] and {one["image_id"] for one in found} == {42}
    assert found[1]["bbox"] == [5, 1, 4, 6] and found[1]["score"] == pytest.approx(0.6)
    np.testing.assert_array_equal(rle.decode(found[1]["segmentation"]), MASKS[1])
    assert [one["category_id"] for one in result(None).to_coco(category_ids=(17, 18))] == [18, 17, 18]
    assert "segmentation" not in result(None).to_coco()[0]


def test_drawn_saved_and_shown(tmp_path: Path):
    found = result()
    drawn = found.draw()
    assert drawn.shape == (384, 480, 3)  # enlarged 48 times: the longer side has 480 pixels
    np.testing.assert_array_equal(found.draw(min_score=0.5), found[:2].draw())
    found.save(tmp_path / "new" / "drawn.png")
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "drawn.png"), drawn)
    found.save(tmp_path / "drawn.jpg")
    assert read_image(tmp_path / "drawn.jpg").shape == (384, 480, 3)
    assert found._repr_png_() == (tmp_path / "new" / "drawn.png").read_bytes()
    with pytest.raises(WrongEnding, match=r"drawn\.tiff"):
        found.save(tmp_path / "drawn.tiff")


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_a_library_that_is_missing(package: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ImportError, match=f"{package} is not installed: pip install {package}"):
        getattr(result(), f"to_{package}")()
