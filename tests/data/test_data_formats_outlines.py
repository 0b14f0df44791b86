import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prepared import block, pixels

from maskrcnn_jax.data.formats.outlines import fill_box, fill_ellipse, fill_polygon


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


def test_outside_of_the_picture_is_cut():
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
