"""Boxes on the host beside hand-made numbers and the function of the network."""

import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.masks.boxes import box_area, box_iou, box_overlap
from maskrcnn_jax.ops.boxes import iou

A = np.array([[0.0, 0, 4, 3], [2, 2, 2, 9], [5, 5, 1, 1]])
"""Of areas 4 · 3, 0 · 7 and, with negative sides, 0."""
B = np.array([[2.0, 1, 6, 3], [4, 3, 8, 8]])
"""The first shares 2 · 2 with the first of A, the second only a corner."""


def test_areas():
    assert box_area(A).tolist() == [12, 0, 0]


def test_overlaps():
    assert box_overlap(A[:1], B).tolist() == [[2, 1, 4, 3], [4, 3, 4, 3]]


def test_iou():
    # 4 of 12 + 8 - 4.
    np.testing.assert_allclose(box_iou(A, B), [[0.25, 0], [0, 0], [0, 0]])


def test_iou_equals_that_of_the_network():
    corners = np.random.default_rng(0).uniform(0, 20, (2, 30, 2, 2)).astype(np.float32)
    a, b = np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=2)
    np.testing.assert_allclose(box_iou(a, b), iou(jnp.asarray(a), jnp.asarray(b)), atol=1e-6)


def test_without_boxes():
    assert box_iou(np.zeros((0, 4)), B).shape == (0, 2)
