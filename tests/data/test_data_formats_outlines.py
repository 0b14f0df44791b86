import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepared import block, pixels

from maskrcnn_jax.data.prepare.formats import outlines
from maskrcnn_jax.masks.rle import decode_mask


def decoded(code: dict) -> np.ndarray:
    return decode_mask(code["counts"].encode("ascii"), tuple(code["size"]))


def fill_polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return decoded(outlines.fill_polygon(points.astype(float), size))


def fill_box(x0: float, y0: float, x1: float, y1: float, size: tuple[int, int]) -> np.ndarray:
    return decoded(outlines.fill_box(x0, y0, x1, y1, size))


def fill_ellipse(center: tuple, radii: tuple, angle: float, size: tuple[int, int]) -> np.ndarray:
    return decoded(outlines.fill_ellipse(center, radii, angle, size))


def test_the_example_of_scikit_image():
    """`skimage.draw.polygon([1, 2, 8], [1, 7, 4])` gives this in its documentation."""
    expected = pixels(
        """
        ..........
        .#........
        ..######..
        ..#####...
        ...####...
        ...###....
        ....##....
        ....#.....
        ....#.....
        ..........
        """
    )
    points = np.array([(1, 1), (7, 2), (4, 8)]) + 0.5
    np.testing.assert_array_equal(fill_polygon(points, (10, 10)), expected)


def test_edges_belong_to_the_polygon():
    # Corners on the centres of pixels 2 and 5: all of 2, 3, 4, 5. Corners between pixels 2 and 5: the three between.
    corners = np.array([(2, 2), (5, 2), (5, 5), (2, 5)], float)
    np.testing.assert_array_equal(fill_polygon(corners + 0.5, (8, 9)), block((8, 9), slice(2, 6), slice(2, 6)))
    np.testing.assert_array_equal(fill_polygon(corners, (8, 9)), block((8, 9), slice(2, 5), slice(2, 5)))


def test_a_concave_outline_with_level_edges():
    # A U: both arms and the floor, whose upper edge is level between them.
    points = np.array([(0, 0), (1, 0), (1, 3), (4, 3), (4, 0), (5, 0), (5, 4), (0, 4)]) + 0.5
    expected = pixels(
        """
        ##..##
        ##..##
        ##..##
        ######
        ######
        """
    )
    np.testing.assert_array_equal(fill_polygon(points, (5, 6)), expected)


def test_what_is_enclosed_twice_is_outside():
    # A square around a smaller one, drawn in one line: the smaller one is a hole, whose edge belongs to the mask.
    outer = [(0, 0), (6, 0), (6, 6), (0, 6), (0, 0)]
    inner = [(2, 2), (4, 2), (4, 4), (2, 4), (2, 2)]
    mask = fill_polygon(np.array(outer + inner) + 0.5, (7, 7))
    assert mask.sum() == 49 - 1
    assert mask[3, 3] == 0


def test_outside_of_the_image_is_cut():
    points = np.array([(-5, -5), (2, -5), (2, 20), (-5, 20)], float)
    np.testing.assert_array_equal(fill_polygon(points, (4, 5)), block((4, 5), slice(0, 4), slice(0, 2)))
    assert not fill_polygon(points + 100, (4, 5)).any()
    assert not fill_polygon(points - 100, (4, 5)).any()


def test_without_area_only_pixels_on_it_count():
    # Between the centres of pixels there is none.
    assert not fill_polygon(np.array([(1.1, 1.1), (1.2, 1.1), (1.2, 1.2)]), (4, 4)).any()


def on_edge_or_inside(points: np.ndarray, x: float, y: float) -> bool | None:
    """The definition, in whole numbers, with one loop over the edges; None where a hair without area may matter."""
    inside = False
    for (x0, y0), (x1, y1) in zip(points.tolist(), np.roll(points, -1, axis=0).tolist(), strict=True):
        side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        if side == 0 and min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
            return None if y0 == y1 else True
        if (y0 > y) != (y1 > y):
            inside ^= (side > 0) == (y1 < y0)
    return inside


@given(st.lists(st.tuples(st.integers(-3, 14), st.integers(-3, 14)), min_size=3, max_size=3, unique=True))
def test_every_pixel_of_a_triangle_against_the_definition(points: list[tuple[int, int]]):
    corners = np.array(points)
    a, b = corners[1] - corners[0], corners[2] - corners[0]
    if a[0] * b[1] == a[1] * b[0]:
        return  # On one line: no area.
    mask = fill_polygon(corners + 0.5, (11, 12))
    for y in range(11):
        for x in range(12):
            wanted = on_edge_or_inside(corners, x, y)
            assert mask[y, x] == (True if wanted is None else wanted), (x, y)


@given(st.lists(st.tuples(st.integers(-3, 14), st.integers(-3, 14)), min_size=4, max_size=8), st.floats(0.1, 0.4))
def test_off_the_centres_every_polygon_is_even_odd(points: list[tuple[int, int]], shift: float):
    """Moved a little, edges may still meet centres; those pixels are not compared."""
    corners = np.array(points)
    mask = fill_polygon(corners + 0.5 + np.array([shift, shift / 3]), (11, 12))
    for y in range(11):
        for x in range(12):
            moved = corners + np.array([shift, shift / 3])
            distance = [
                abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
                for (x0, y0), (x1, y1) in zip(moved.tolist(), np.roll(moved, -1, axis=0).tolist(), strict=True)
            ]
            if min(distance) > 1e-3:
                assert mask[y, x] == on_edge_or_inside(moved, x, y), (x, y)


@pytest.mark.parametrize("corners", [(1, 2, 4, 3), (4, 3, 1, 2)])
def test_box(corners: tuple[float, ...]):
    np.testing.assert_array_equal(fill_box(*corners, (5, 6)), block((5, 6), slice(2, 3), slice(1, 4)))


def test_circle():
    # Centre on pixel (3, 3), radius 2: dx² + dy² ≤ 4.
    expected = pixels(
        """
        .......
        ...#...
        ..###..
        .#####.
        ..###..
        ...#...
        .......
        """
    )
    np.testing.assert_array_equal(fill_ellipse((3.5, 3.5), (2, 2), 0, (7, 7)), expected)


def test_a_turned_ellipse_is_turned_clockwise():
    lying = fill_ellipse((5.5, 5.5), (4, 1), 0, (11, 11))
    np.testing.assert_array_equal(fill_ellipse((5.5, 5.5), (4, 1), np.pi / 2, (11, 11)), lying.T)
    down = fill_ellipse((5.5, 5.5), (4, 1), np.pi / 4, (11, 11))
    # To the right and down, not to the right and up.
    assert down[7, 7]
    assert not down[3, 7]


@given(
    st.tuples(st.floats(-5, 15), st.floats(-5, 15)),
    st.tuples(st.floats(0.1, 12), st.floats(0.1, 12)),
    st.floats(-7, 7),
)
def test_every_pixel_of_an_ellipse_against_its_equation(center: tuple, radii: tuple, angle: float):
    mask = fill_ellipse(center, radii, angle, (11, 12))
    for y in range(11):
        for x in range(12):
            dx, dy = x + 0.5 - center[0], y + 0.5 - center[1]
            along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
            value = (along / radii[0]) ** 2 + (across / radii[1]) ** 2
            if abs(value - 1) > 1e-4:
                assert mask[y, x] == (value < 1), (x, y)


@given(*[st.floats(-5, 15)] * 4)
def test_a_box_is_the_polygon_of_its_corners(x0: float, y0: float, x1: float, y1: float):
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    if abs(x1 - x0) > 1e-3 and abs(y1 - y0) > 1e-3:
        np.testing.assert_array_equal(fill_box(x0, y0, x1, y1, (8, 9)), fill_polygon(corners, (8, 9)))


def test_the_image_may_be_larger_than_memory():
    """Nothing of its 10,000 million pixels is allocated; the runs are those of a box over three columns."""
    size = (100_000, 100_000)
    for code in (
        outlines.fill_box(0, 0, 3, 100_000, size),
        outlines.fill_polygon(np.array([(0, 0), (3, 0), (3, 1e5), (0, 1e5)]), size),
    ):
        assert code == {"size": [100_000, 100_000], "counts": runs_to_text([0, 300_000, 10**10 - 300_000])}


def runs_to_text(runs: list[int]) -> str:
    """COCO's code of three runs, of which none is a difference: five bits a character, lowest first, then 48 more."""
    text = ""
    for run in runs:
        while True:
            bits, run = run & 31, run >> 5
            last = run == 0 and not bits & 16
            text += chr(48 + bits + (0 if last else 32))
            if last:
                break
    return text


def test_a_million_points_take_a_second():
    """A ring of teeth around (2000, 2000), each traced by 200 points; 1 % of its disc may be on the teeth."""
    angle = np.linspace(0, 2 * np.pi, 10**6)
    radius = 1900 + 5 * np.sin(5000 * angle)
    points = np.stack([2000 + radius * np.cos(angle), 2000 + radius * np.sin(angle)], axis=1)
    area = int(fill_polygon(points, (4000, 4000)).sum())
    # The integral of radius² / 2 over the circle: the sine's square has a mean of one half.
    assert area == pytest.approx(np.pi * (1900**2 + 5**2 / 2), rel=1e-4)


def test_an_outline_that_goes_to_and_fro_is_refused():
    points = np.tile([(0.0, 0.0), (4000.0, 4000.0)], (20_000, 1))
    with pytest.raises(
        ValueError, match="an outline of 40,000 points that crosses columns of pixels 160,000,000 times"
    ):
        outlines.fill_polygon(points, (4000, 4000))
