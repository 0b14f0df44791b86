"""IoU of boxes on the host, against arithmetic and the device's version."""

import numpy as np

from maskrcnn_jax.masks.boxes import box_iou
from maskrcnn_jax.ops.boxes import iou


def test_iou_of_hand_made_boxes():
    # 4×4 and 4×2 share 2×2: 4 / (16 + 8 - 4) = 0.2. The third touches the first only, the fourth has no area.
    a = np.array([[0, 0, 4, 4]])
    b = np.array([[2, 1, 6, 3], [4, 0, 8, 4], [1, 1, 1, 3], [0, 0, 4, 4]])
    assert box_iou(a, b).tolist() == [[0.2, 0.0, 0.0, 1.0]]
    assert box_iou(b[2:3], b[2:3]).tolist() == [[0.0]]
    assert box_iou(a, b[:0]).shape == (1, 0)


def test_iou_is_that_of_the_device():
    corners = np.random.default_rng(0).uniform(0, 50, (2, 20, 2, 2))
    a, b = (np.sort(side, axis=1).reshape(-1, 4).astype(np.float32) for side in corners)
    np.testing.assert_allclose(box_iou(a, b), iou(a, b), atol=1e-6)
