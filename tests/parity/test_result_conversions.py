"""A result as objects of other libraries, in an image of 8 × 10 pixels."""

import numpy as np

from maskrcnn_jax.prediction.result import Result
from maskrcnn_jax.structs import Detections

BOXES = np.array([[0, 0, 4, 2], [5, 1, 9, 7], [2, 2, 6, 6]], np.float32)
MASKS = np.zeros((3, 8, 10), bool)
MASKS[0, 0:2, 0:4] = MASKS[1, 1:7, 5:9] = MASKS[2, 2:6, 2:6] = True
SCORES, LABELS = np.array([0.9, 0.6, 0.3], np.float32), np.array([1, 0, 1], np.int32)


def result(masks: np.ndarray | None = MASKS) -> Result:
    detections = Detections(BOXES, SCORES, LABELS, np.ones(3, bool), masks)
    return Result(np.zeros((8, 10, 3), np.uint8), None, detections, ("cat", "dog"))


def test_pandas():
    table = result().to_pandas()
    assert list(table.columns) == ["name", "label", "score", "x0", "y0", "x1", "y1", "area"]
    # 2 · 4, 6 · 4 and 4 · 4 pixels.
    assert table.name.tolist() == ["dog", "cat", "dog"] and table.area.tolist() == [8, 24, 16]
    assert table.loc[1, ["x0", "y0", "x1", "y1"]].tolist() == [5, 1, 9, 7]
    assert len(result()[:0].to_pandas()) == 0 and "area" not in result(None).to_pandas()


def test_supervision():
    found = result().to_supervision()
    assert len(found) == 3 and found["class_name"].tolist() == ["dog", "cat", "dog"]
    np.testing.assert_array_equal(found.xyxy, BOXES)
    np.testing.assert_array_equal(found.mask, MASKS)
    assert found[found.confidence > 0.5].class_id.tolist() == [1, 0]
    assert result(None).to_supervision().mask is None and len(result()[:0].to_supervision()) == 0
