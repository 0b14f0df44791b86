import math

import numpy as np
import pycocotools.mask as reference
import pytest

from maskrcnn_jax.data.prepare.coco.segmentation import Polygons, RunLengths, parse_segmentation
from maskrcnn_jax.data.prepare.problems import Dropped, Refused

SQUARE, OTHER = [10, 8, 40, 8, 40, 30, 10, 30], [50, 20, 80, 20, 80, 50]
SIZE = (64, 96)
DEEP: list = [SQUARE]
for _ in range(100):
    DEEP = [DEEP]


def pairs(flat):
    return [list(point) for point in zip(flat[::2], flat[1::2], strict=True)]


@pytest.mark.parametrize("value", [[SQUARE], SQUARE, [[SQUARE]], [pairs(SQUARE)], pairs(SQUARE), [SQUARE, []]])
def test_other_forms_of_one_polygon(value):
    assert parse_segmentation(value) == Polygons([SQUARE], short=0)


@pytest.mark.parametrize("value", [[SQUARE, OTHER], [[SQUARE, OTHER]], [[SQUARE], [OTHER]], [pairs(SQUARE), OTHER]])
def test_other_forms_of_two_polygons(value):
    assert parse_segmentation(value) == Polygons([SQUARE, OTHER], short=0)


@pytest.mark.parametrize("value", [None, "", [], {}, [[]]])
def test_no_segmentation(value):
    assert parse_segmentation(value) is None


@pytest.mark.parametrize("value", ["x", 7, True, [[[[SQUARE]]]], [SQUARE, 3], [{}, {}], ["a", [1]], DEEP])
def test_what_is_no_segmentation(value):
    with pytest.raises(Refused, match=r"list of flat lists \[x, y, x, y, …\] or run-length code"):
        parse_segmentation(value)


def test_parts_of_two_points_are_counted():
    assert parse_segmentation([[10, 8, 20, 10], SQUARE, [12, 9]]) == Polygons([SQUARE], short=2)
    with pytest.raises(Dropped, match="fewer than three points"):
        parse_segmentation([[10, 8, 20, 10]])


def test_an_odd_number_of_coordinates():
    with pytest.raises(Refused, match="odd number of coordinates") as refused:
        parse_segmentation([SQUARE, SQUARE[:7]])
    assert refused.value.args[1] == "7 coordinates"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "7", True, 10**400, 1e308 * 10])
def test_coordinates_that_are_no_finite_numbers(value):
    with pytest.raises(Refused, match="no finite numbers"):
        parse_segmentation([[*SQUARE[:7], value]])
    with pytest.raises(Refused, match="no finite numbers"):
        parse_segmentation([[value, value, *SQUARE]])


@pytest.mark.parametrize("far", [1e8, -1e8, 1e300, 193.0, -97])
def test_coordinates_far_outside_are_refused_before_anything_is_drawn(far):
    # The longer side is 96: coordinates from -96 to 192 may be.
    with pytest.raises(Refused, match="outside their image by more than its longer side"):
        Polygons([[10, 8, far, 8, 40, 30]], 0).encode(SIZE)


def test_coordinates_a_little_outside_are_drawn():
    assert area(Polygons([[-96, 0, 192, 0, 192, 64, -96, 64]], 0).encode(SIZE)) == 64 * 96


def test_an_outline_of_endless_length_is_refused():
    # 500 times to and fro over 9000 pixels: 4.5 million.
    with pytest.raises(Refused, match="outline is longer than 4000000 pixels"):
        Polygons([[0, 0, 9000, 9000] * 250 + [0, 9000]], 0).encode((10_000, 10_000))


def test_a_polygon_of_a_million_points_is_drawn():
    angle = np.linspace(0, 2 * np.pi, 10**6, endpoint=False)
    circle = np.stack([300 + 200 * np.cos(angle), 250 + 200 * np.sin(angle)], axis=1)
    drawn = area(Polygons([circle.ravel().tolist()], 0).encode((500, 600)))
    assert abs(drawn - np.pi * 200**2) < 2 * np.pi * 200  # a pixel along the edge


def test_normalised_coordinates_are_named():
    part = [0.52, 0.3125, 0.83, 0.3125, 0.83, 0.78]
    with pytest.raises(Dropped, match="as if normalised"):
        Polygons([part], 0).encode(SIZE)
    # A whole pixel in the corner is none of these.
    assert area(Polygons([[0, 0, 1, 0, 1, 1, 0, 1]], 0).encode(SIZE)) == 1


def area(counts: bytes, size=SIZE) -> int:
    return int(reference.area({"size": list(size), "counts": counts}))


def test_run_lengths_as_floats():
    code = parse_segmentation({"size": [64.0, "96"], "counts": [648.0, 22, 5474.0]})
    assert code == RunLengths(SIZE, [648, 22, 5474])
    assert area(code.encode(SIZE)) == 22


def test_one_code_in_a_list():
    code = {"size": [64, 96], "counts": [6144]}
    assert parse_segmentation([code]) == parse_segmentation(code) == RunLengths(SIZE, [6144])


@pytest.mark.parametrize("counts", [[648, -22, 5518], [648.5], ["648"], [None], [True], [math.nan], [2**70]])
def test_run_lengths_that_are_no_whole_numbers(counts):
    with pytest.raises(Refused, match="counts are no whole numbers from 0"):
        parse_segmentation({"size": [64, 96], "counts": counts})


@pytest.mark.parametrize("counts", [None, 7, {}, True])
def test_counts_of_another_type(counts):
    with pytest.raises(Refused, match="segmentation must be"):
        parse_segmentation({"size": [64, 96], "counts": counts})


@pytest.mark.parametrize("size", [[64], [64, None], "64×96", [64, 96, 3], 6144, [64, math.inf]])
def test_size_of_another_type(size):
    with pytest.raises(Refused, match=r"\"size\" is not \[height, width\]"):
        parse_segmentation({"size": size, "counts": [6144]})


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ("b'Xd0f0'", r"written as Python's str\(bytes\)"),
        ('b"Xd0f0"', r"written as Python's str\(bytes\)"),
        ("648 22 42", "neither a list of numbers nor COCO's code"),
        ("64é", "neither a list of numbers nor COCO's code"),
    ],
)
def test_text_that_is_no_code(counts, problem):
    with pytest.raises(Refused, match=problem):
        parse_segmentation({"size": [64, 96], "counts": counts})


@pytest.mark.parametrize(
    ("code", "problem", "detail"),
    [
        (RunLengths(None, [6144]), "without its size", ""),
        (RunLengths((96, 64), [6144]), "another size", "96×64 pixels, its image 64×96; height and width are exchanged"),
        (RunLengths((60000, 60000), [3_600_000_000]), "another size", "60000×60000 pixels, its image 64×96"),
        (RunLengths(SIZE, [648, 22]), "does not cover", "its runs sum to 670, not 64×96 = 6144"),
        (RunLengths(SIZE, [6144, 7]), "does not cover", "its runs sum to 6151, not 64×96 = 6144"),
        (RunLengths(SIZE, [2**62, 2**62, 2**62, 2**62]), "does not cover", f"its runs sum to {2**64}, not 64×96"),
        (RunLengths(SIZE, b""), "cannot be read", "it is empty"),
        (RunLengths(SIZE, b"0"), "cannot be read", "it covers 0 pixels, not 64×96 = 6144"),
        (RunLengths(SIZE, b"12z"), "cannot be read", "it holds characters"),
        (RunLengths(SIZE, b"PPPPPPPPPPPPPPPP0"), "cannot be read", "it holds a number of 17 characters"),
    ],
)
def test_codes_that_do_not_fit_their_image(code, problem, detail):
    with pytest.raises(Refused, match=problem) as refused:
        code.encode(SIZE)
    assert refused.value.args[1].startswith(detail)
