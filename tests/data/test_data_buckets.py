import numpy as np
import pytest

from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.data.buckets import choose_buckets, resize_scale, scaled_sizes


def resized(height: int, width: int, shortest: int, longest: int) -> list[int]:
    sizes = np.array([[height, width]])
    return scaled_sizes(sizes, resize_scale(sizes, shortest, longest))[0].tolist()


def test_shorter_side_gets_the_length():
    assert resized(480, 640, 800, 1333) == [800, 1067]  # 640 · 800 / 480 = 1066.67
    assert resized(640, 427, 800, 1333) == [1199, 800]  # 640 · 800 / 427 = 1199.06


def test_longer_side_is_capped():
    assert resized(300, 1000, 800, 1333) == [400, 1333]  # 300 · 1333 / 1000 = 399.9


def test_a_sliver_keeps_a_pixel():
    assert resized(1, 5000, 800, 1333) == [1, 1333]  # 1 · 1333 / 5000 = 0.27


def detectron2_shape(old_height: int, old_width: int, short: int, most: int) -> list[int]:
    """`ResizeShortestEdge.get_output_shape` of Detectron2 0.6, retold."""
    scale = short / min(old_height, old_width)
    if old_height < old_width:
        height, width = float(short), scale * old_width
    else:
        height, width = scale * old_height, float(short)
    if max(height, width) > most:
        shrink = most / max(height, width)
        height, width = height * shrink, width * shrink
    return [int(height + 0.5), int(width + 0.5)]


def test_equal_to_detectron2():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(50, 1500, (500, 2)).tolist():
        assert resized(height, width, 800, 1333) == detectron2_shape(height, width, 800, 1333)


def test_smallest_bucket_that_holds_the_picture():
    buckets = ((64, 64), (32, 64), (64, 32), (32, 32))
    sizes = np.array([[32, 32], [33, 32], [32, 33], [33, 33], [64, 64], [1, 1]])
    assert choose_buckets(sizes, buckets).tolist() == [3, 2, 1, 0, 0, 3]


def test_first_of_equal_buckets_wins():
    assert choose_buckets(np.array([[10, 10]]), ((16, 32), (32, 16))).tolist() == [0]


def test_picture_that_fits_nowhere_is_named():
    sizes = np.array([[30, 30], [70, 20]])
    with pytest.raises(ConfigError, match=r"buckets = \(\(64, 64\), \(32, 96\)\): none holds .* 70×20 pixels"):
        choose_buckets(sizes, ((64, 64), (32, 96)))


def test_no_buckets():
    with pytest.raises(ConfigError, match="at least one"):
        choose_buckets(np.array([[1, 1]]), ())
