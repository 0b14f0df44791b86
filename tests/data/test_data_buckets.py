import numpy as np
import pytest

from maskrcnn_jax.config import ConfigError, InputConfig
from maskrcnn_jax.data.transforms.buckets import choose_buckets, fitted_sizes, resized_sizes

RANDOM = np.random.default_rng(0).integers(1, 2001, (20000, 2))


def resized(height: int, width: int, shortest: int, longest: int, **rule: bool) -> list[int]:
    return resized_sizes(np.array([[height, width]]), shortest, longest, **rule)[0].tolist()


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


@pytest.mark.parametrize("shortest", [640, 800])
def test_equal_to_detectron2(shortest):
    expected = [detectron2_shape(height, width, shortest, 1333) for height, width in RANDOM.tolist()]
    np.testing.assert_array_equal(resized_sizes(RANDOM, shortest, 1333), np.maximum(expected, 1))


def test_halves_after_two_factors():
    # 288 · 1333 / 1984 is 193.5; Detectron2 multiplies by 800 / 288 and then by 1333 / 5511.1 and stays just below.
    assert detectron2_shape(288, 1984, 800, 1333) == resized(288, 1984, 800, 1333) == [193, 1333]


def test_equal_to_torchvision():
    expected = []
    for height, width in RANDOM.tolist():
        scale = min(800 / min(height, width), 1333 / max(height, width))
        expected.append([max(int(height * scale), 1), max(int(width * scale), 1)])
    np.testing.assert_array_equal(resized_sizes(RANDOM, 800, 1333, floor_size=True), expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), [800, 1066]),
        ((427, 640), [800, 1199]),
        ((50, 70), [800, 1120]),
        ((1500, 300), [1333, 266]),
        ((29, 2000), [19, 1333]),
        ((97, 97), [799, 799]),  # 800 / 97 · 97 falls short of 800 in float64
        ((289, 289), [799, 799]),
    ],
)
def test_sizes_that_torchvision_gave(size, expected):
    """The shapes of `_resize_image_and_masks(…, 800, 1333)` of torchvision 0.29."""
    assert resized(*size, 800, 1333, floor_size=True) == expected


def matterport_shape(height: int, width: int, short: int, most: int) -> list[int]:
    """The scale of Matterport's `resize_image` in square mode, retold."""
    scale = max(1, short / min(height, width))
    if round(max(height, width) * scale) > most:
        scale = most / max(height, width)
    return [max(round(height * scale), 1), max(round(width * scale), 1)]


@pytest.mark.parametrize("shortest", [400, 800])
def test_equal_to_matterport(shortest):
    expected = [matterport_shape(height, width, shortest, 1024) for height, width in RANDOM.tolist()]
    np.testing.assert_array_equal(resized_sizes(RANDOM, shortest, 1024, enlarge_only=True), expected)


def test_enlarging_only_by_hand():
    assert resized(900, 1000, 800, 1024, enlarge_only=True) == [900, 1000]
    assert resized(400, 450, 800, 1024, enlarge_only=True) == [800, 900]
    assert resized(600, 900, 800, 1024, enlarge_only=True) == [683, 1024]  # 600 · 1024 / 900 = 682.67
    assert resized(1365, 2048, 800, 1024, enlarge_only=True) == [682, 1024]  # 682.5, to the even number


def test_prediction_takes_the_rule_of_its_configuration():
    sizes = np.array([[427, 640], [900, 1000]])  # 640 · 800 / 427 = 1199.06; 1000 · 800 / 900 = 888.89
    for rule, expected in (
        ({}, [[800, 1199], [800, 889]]),
        ({"floor_size": True}, [[800, 1199], [800, 888]]),
        ({"enlarge_only": True}, [[800, 1199], [900, 1000]]),
    ):
        found, padded = fitted_sizes(sizes, InputConfig(buckets=((1024, 1344),), **rule))
        assert found.tolist() == expected and padded.tolist() == [[1024, 1344]] * 2


def test_without_buckets_sides_are_the_next_multiples_of_32():
    sizes = np.array([[480, 640], [640, 480], [40, 64], [1, 1]])
    found, padded = fitted_sizes(sizes, InputConfig(shortest_edge=64, longest_edge=85, buckets=()))
    # 480 · 85 / 640 = 63.75, 40 · 85 / 64 = 53.1
    assert found.tolist() == [[64, 85], [85, 64], [53, 85], [64, 64]]
    assert padded.tolist() == [[64, 96], [96, 64], [64, 96], [64, 64]]


def test_smallest_bucket_that_holds_the_image():
    buckets = ((64, 64), (32, 64), (64, 32), (32, 32))
    sizes = np.array([[32, 32], [33, 32], [32, 33], [33, 33], [64, 64], [1, 1]])
    assert choose_buckets(sizes, buckets).tolist() == [3, 2, 1, 0, 0, 3]


def test_first_of_equal_buckets_wins():
    assert choose_buckets(np.array([[10, 10]]), ((16, 32), (32, 16))).tolist() == [0]


def test_image_that_fits_nowhere_is_named():
    sizes = np.array([[30, 30], [70, 20]])
    with pytest.raises(ConfigError, match=r"buckets = \(\(64, 64\), \(32, 96\)\): none holds .* 70×20 pixels"):
        choose_buckets(sizes, ((64, 64), (32, 96)))


def test_no_buckets():
    with pytest.raises(ConfigError, match="at least one"):
        choose_buckets(np.array([[1, 1]]), ())
