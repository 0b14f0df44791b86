"""Box geometry compared with counted cells, the coder with scalar arithmetic."""

import math

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops import boxes as box_ops

ONES = (1.0, 1.0, 1.0, 1.0)
HEAD = (10.0, 10.0, 5.0, 5.0)
LOG_LIMIT = math.log(1000 / 16)

area = jax.jit(box_ops.area)
iou = jax.jit(box_ops.iou)
intersection = jax.jit(box_ops.intersection)
clip = jax.jit(box_ops.clip)
encode = jax.jit(box_ops.encode, static_argnums=2)
decode = jax.jit(box_ops.decode, static_argnums=(2, 3))

whole_boxes = hnp.arrays(np.float32, (5, 4), elements=st.integers(-4, 9).map(float))
"""Corners in any order: boxes without area, inverted boxes and equal boxes come up often."""


def cells(box):
    """The unit cells that a box with whole corners covers: the definition of its area."""
    x0, y0, x1, y1 = (int(v) for v in box)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def define_encode(box, anchor, weights):
    width, height = box[2] - box[0], box[3] - box[1]
    anchor_width, anchor_height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    dx = ((box[0] + box[2]) / 2 - (anchor[0] + anchor[2]) / 2) / anchor_width
    dy = ((box[1] + box[3]) / 2 - (anchor[1] + anchor[3]) / 2) / anchor_height
    deltas = dx, dy, math.log(width / anchor_width), math.log(height / anchor_height)
    return [delta * weight for delta, weight in zip(deltas, weights, strict=True)]


def define_decode(delta, anchor, weights, limit):
    dx, dy, dw, dh = (value / weight for value, weight in zip(delta, weights, strict=True))
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x, y = anchor[0] + width / 2 + dx * width, anchor[1] + height / 2 + dy * height
    width, height = width * math.exp(min(dw, limit)), height * math.exp(min(dh, limit))
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def random_boxes(rng, count):
    corner = rng.uniform(-50, 200, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 150, (count, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1.0, 2.0, 5.0, 5.0), 12.0),
        ((0.5, 0.0, 1.0, 0.5), 0.25),
        ((3.0, 3.0, 3.0, 9.0), 0.0),  # no width
        ((5.0, 0.0, 1.0, 4.0), 0.0),  # corners swapped in x
        ((5.0, 4.0, 1.0, 0.0), 0.0),  # in both: two negative sides do not make an area
    ],
)
def test_area(box, expected):
    assert area(jnp.array(box)) == expected


def test_iou_by_hand():
    a = jnp.array([[0.0, 0, 2, 2], [0, 0, 4, 4], [5, 5, 5, 5]])
    b = jnp.array([[1.0, 1, 3, 3], [2, 0, 4, 2], [5, 5, 5, 5]])
    # (0,0) share 1 of 4 + 4; (1,0) share 4 of 16; touching edges share nothing; equal boxes without area have IoU 0.
    expected = [[1 / 7, 0, 0], [4 / 16, 4 / 16, 0], [0, 0, 0]]
    np.testing.assert_allclose(iou(a, b), expected, rtol=1e-6)


@given(whole_boxes, whole_boxes)
def test_overlaps_are_those_of_the_cells_covered(a, b):
    shared = [[len(cells(p) & cells(q)) for q in b] for p in a]
    union = [[len(cells(p) | cells(q)) for q in b] for p in a]
    np.testing.assert_array_equal(intersection(jnp.asarray(a), jnp.asarray(b)), shared)
    expected = [[s / u if u else 0.0 for s, u in zip(*pair, strict=True)] for pair in zip(shared, union, strict=True)]
    np.testing.assert_allclose(iou(jnp.asarray(a), jnp.asarray(b)), expected, rtol=1e-6)


@given(hnp.arrays(np.float32, (5, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_iou_is_symmetric_and_a_share(boxes):
    values = np.asarray(iou(jnp.asarray(boxes), jnp.asarray(boxes)))
    np.testing.assert_array_equal(values, values.T)
    assert np.all((values >= 0) & (values <= 1 + 1e-6))


def test_iou_has_finite_gradients_for_boxes_without_area():
    boxes = jnp.array([[0.0, 0, 0, 0], [1, 1, 1, 5], [0, 0, 4, 4]])
    assert jnp.all(jnp.isfinite(jax.grad(lambda b: iou(b, b).sum())(boxes)))


def test_clip_puts_corners_on_the_edge():
    boxes = jnp.array([[-5.0, -6, 7, 8], [3, 4, 50, 60], [1, 2, 3, 4], [40, 40, 50, 50], [-9, -9, -1, -1]])
    # An image 10 high and 20 wide. Boxes outside it lose their area.
    expected = [[0, 0, 7, 8], [3, 4, 20, 10], [1, 2, 3, 4], [20, 10, 20, 10], [0, 0, 0, 0]]
    np.testing.assert_array_equal(clip(boxes, jnp.array([0.0, 0.0, 20.0, 10.0])), expected)
    # The same image, two pixels further right and three further down.
    expected = [[2, 3, 7, 8], [3, 4, 22, 13], [2, 3, 3, 4], [22, 13, 22, 13], [2, 3, 2, 3]]
    np.testing.assert_array_equal(clip(boxes, jnp.array([2.0, 3.0, 22.0, 13.0])), expected)


def test_shortened_boxes_end_earlier():
    boxes = jnp.array([[1.0, 2, 3, 4], [0, 0, 0, 0]])
    np.testing.assert_array_equal(box_ops.shorten(boxes, 1.0), [[1, 2, 2, 3], [0, 0, -1, -1]])
    np.testing.assert_array_equal(box_ops.shorten(box_ops.shorten(boxes, 1.0), -1.0), boxes)


def test_larger_than_asks_for_both_sides_and_finite_corners():
    side = 2.0
    boxes = jnp.array(
        [
            [0.0, 0, 2.5, 2.5],
            [0, 0, 2, 9],  # exactly as long is not longer
            [0, 0, 9, 1],
            [9, 9, 0, 0],
            [0, 0, np.inf, 9],
            [0, np.nan, 9, 9],
        ]
    )
    expected = [True, False, False, False, False, False]
    np.testing.assert_array_equal(box_ops.larger_than(boxes, side), expected)
    assert not box_ops.larger_than(jnp.zeros((1, 4)), 0.0).any()
    # Without a size only the corners must be finite.
    np.testing.assert_array_equal(box_ops.larger_than(boxes, None), [True] * 4 + [False] * 2)


def test_encode_by_hand():
    anchor = jnp.array([[0.0, 0, 10, 20]])
    # Centre (5, 10) goes to (7.5, 9): 2.5 of 10 and -1 of 20. Sides 10 → 5 and 20 → 40: log ½ and log 2.
    box = jnp.array([[5.0, -11, 10, 29]])
    expected = np.array([[0.25, -0.05, math.log(0.5), math.log(2)]])
    np.testing.assert_allclose(encode(box, anchor, ONES), expected, rtol=1e-6)
    np.testing.assert_allclose(encode(box, anchor, HEAD), expected * [[10, 10, 5, 5]], rtol=1e-6)


def test_decode_by_hand():
    anchor = jnp.array([[0.0, 0, 10, 20]])
    deltas = jnp.array([[0.25, -0.05, math.log(0.5), math.log(2)]])
    np.testing.assert_allclose(decode(deltas, anchor, ONES, LOG_LIMIT), [[5, -11, 10, 29]], atol=1e-5)
    np.testing.assert_array_equal(decode(jnp.zeros((1, 4)), anchor, HEAD, LOG_LIMIT), anchor)


@pytest.mark.parametrize("weights", [ONES, HEAD])
def test_coder_equals_the_scalar_definition(weights):
    rng = np.random.default_rng(0)
    boxes, anchors = random_boxes(rng, 40), random_boxes(rng, 40)
    expected = [define_encode(b, a, weights) for b, a in zip(boxes.astype(float), anchors.astype(float), strict=True)]
    np.testing.assert_allclose(
        encode(jnp.asarray(boxes), jnp.asarray(anchors), weights), expected, rtol=1e-4, atol=1e-4
    )
    deltas = rng.normal(0, 3, (40, 4)).astype(np.float32)
    expected = [
        define_decode(d, a, weights, 0.5) for d, a in zip(deltas.astype(float), anchors.astype(float), strict=True)
    ]
    decoded = decode(jnp.asarray(deltas), jnp.asarray(anchors), weights, 0.5)
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-3)


sides = st.floats(1, 1000, width=32)
corners = st.floats(-500, 500, width=32)


@given(*[hnp.arrays(np.float32, (4, 2), elements=e) for e in (corners, sides, corners, sides)])
def test_decode_undoes_encode(corner, side, anchor_corner, anchor_side):
    boxes = jnp.concatenate([corner, corner + side], axis=1)
    anchors = jnp.concatenate([anchor_corner, anchor_corner + anchor_side], axis=1)
    # Offsets of up to 1000 sides and scales of up to 1000: a few float32 ulps of 1500 pixels remain.
    np.testing.assert_allclose(decode(encode(boxes, anchors, HEAD), anchors, HEAD, None), boxes, atol=2e-2)


def test_log_scale_is_limited_after_its_weight():
    anchor = jnp.array([[0.0, 0, 16, 16]])
    deltas = jnp.array([[0.0, 0, 1000, -1000]])
    # Width 16 · 1000 / 16 = 1000 about the centre 8; height 16 · exp(-200) = 0: there is no lower bound.
    np.testing.assert_allclose(decode(deltas, anchor, HEAD, LOG_LIMIT), [[-492, 8, 508, 8]], rtol=1e-5)
    # exp(25 / 5) = 148.4 passes the limit of 62.5 only where there is none.
    free = decode(jnp.array([[0.0, 0, 25, 0]]), anchor, HEAD, None)
    np.testing.assert_allclose(free[0, 2] - free[0, 0], 16 * math.exp(5), rtol=1e-5)


def test_coder_is_finite_for_empty_boxes_and_anchors():
    empty = jnp.zeros((2, 4))
    boxes = jnp.array([[0.0, 0, 10, 10], [5, 5, 5, 9]])
    for target, anchor in ((empty, boxes), (boxes, empty), (empty, empty)):
        deltas = encode(target, anchor, HEAD)
        assert jnp.all(jnp.isfinite(deltas))
        gradient = jax.grad(lambda d, a: decode(d, a, HEAD, LOG_LIMIT).sum())(deltas, anchor)
        assert jnp.all(jnp.isfinite(gradient))
