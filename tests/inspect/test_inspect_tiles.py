"""Small images on one figure, and words beside boxes."""

import numpy as np
import pytest
from inspected import texts
from matplotlib.backends.backend_agg import FigureCanvasAgg

from maskrcnn_jax.inspect.colors import COLORS
from maskrcnn_jax.inspect.panels import DPI, WIDTH, caption, panels, show
from maskrcnn_jax.inspect.tiles import TALLEST, Tile, heat, tile_figure

RED, BLUE = (255, 0, 0), (0, 0, 255)


def rendered(figure) -> np.ndarray:
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def flat(height: int, width: int, color: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def pixels(drawn: np.ndarray, color: tuple[int, int, int]) -> tuple[slice, slice, int]:
    """Where a colour is, and how often."""
    where = (np.abs(drawn - color).max(axis=2) < 3).nonzero()
    y, x = ((axis.min(), axis.max() + 1) for axis in where)
    return slice(*y), slice(*x), len(where[0])


def test_heat_is_from_dark_to_yellow():
    colors = heat(np.array([[0.0, 0.5, 1.0]]))
    luminance = colors[0] @ [0.299, 0.587, 0.114]
    assert (np.diff(luminance) > 50).all()
    np.testing.assert_array_equal(heat(np.array([[-1.0, 2.0]]), 0, 1), colors[:, [0, 2]])  # beyond the ends
    np.testing.assert_array_equal(heat(np.array([[0.0, 0.5]]), 0, 1), colors[:, :2])


def test_heat_of_what_has_no_range():
    dark = heat(np.zeros((1, 1)), 0, 1)
    assert (heat(np.full((2, 2), 7.0)) == dark).all()
    np.testing.assert_array_equal(heat(np.array([[np.nan, 0.0, 4.0]]))[:, :2], np.repeat(dark, 2, axis=1))
    assert (heat(np.array([[np.inf, np.nan]])) == dark).all()


def test_tiles_keep_their_shape_and_fill_their_cells():
    figure = tile_figure([[Tile(flat(10, 20, RED), "wide"), Tile(flat(5, 5, BLUE), "small")]])
    drawn = rendered(figure)
    y, x, count = pixels(drawn, RED)
    height, width = y.stop - y.start, x.stop - x.start
    # The cell is as tall as the tallest, the square; so the wide one is half as high as its cell.
    assert abs(height * 2 - width) <= 2 and count == height * width
    y, x, _ = pixels(drawn, BLUE)
    assert abs((y.stop - y.start) - TALLEST * DPI) <= 1
    assert abs((x.stop - x.start) - TALLEST * DPI) <= 1
    assert texts(figure) == ["wide", "small"]


def test_small_images_show_their_pixels():
    checks = np.where(np.indices((4, 4)).sum(axis=0)[..., None] % 2, RED, BLUE).astype(np.uint8)
    drawn = rendered(tile_figure([[Tile(checks)]]))
    _, _, red = pixels(drawn, RED)
    _, _, blue = pixels(drawn, BLUE)
    assert red + blue > 0.99 * (TALLEST * DPI - 2) ** 2  # no colour between the two


@pytest.mark.parametrize("dpi", [60, 144, 200])
def test_tiles_and_captions_stay_together_at_any_resolution(dpi: int):
    figure = tile_figure([[Tile(flat(10, 20, RED), "wide"), Tile(flat(5, 5, BLUE), "small")]])
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    _, x, _ = pixels(drawn, RED)
    tag = figure.axes[0].texts[0].get_window_extent(canvas.get_renderer())
    assert abs((x.start + x.stop) / 2 - (tag.x0 + tag.x1) / 2) < 3


def test_lines_have_names_and_plots_fit_the_page():
    tiles = [Tile(flat(3, 4, RED), str(k)) for k in range(20)]
    figure = tile_figure([tiles, tiles[:2]], ["first", "second"])
    assert figure.get_figwidth() == pytest.approx(WIDTH, abs=0.01)
    assert texts(figure) == ["first", *map(str, range(20)), "second", "0", "1"]
    labels = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert labels["first"][1] < labels["second"][1]


def tags(axes) -> list:
    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    return [text.get_bbox_patch().get_window_extent(renderer) for text in axes.texts]


@pytest.mark.parametrize(
    "boxes",
    [
        [[200, 150, 400, 300], [200, 150, 400, 300], [210, 150, 420, 300]],
        [[0, 0, 640, 480]],
        [[600, 0, 640, 20], [0, 460, 30, 480], [610, 470, 640, 480], [-50, -50, -10, -10]],
    ],
    ids=["upon each other", "whole image", "corners"],
)
def test_words_stay_inside_and_apart(boxes):
    figure, [axes] = panels(1, 1, (480, 640))
    show(axes, np.zeros((480, 640, 3), np.uint8))
    caption(axes, ["elephant 0.98"] * len(boxes), np.array(boxes, np.float32), COLORS[: len(boxes)])
    FigureCanvasAgg(figure).draw()
    frame = axes.get_window_extent()
    found = tags(axes)
    for place, tag in enumerate(found):
        assert frame.x0 - 3 <= tag.x0 and tag.x1 <= frame.x1 + 3
        assert frame.y0 - 3 <= tag.y0 and tag.y1 <= frame.y1 + 3
        for other in found[:place]:
            wide = min(tag.x1, other.x1) - max(tag.x0, other.x0)
            high = min(tag.y1, other.y1) - max(tag.y0, other.y0)
            assert wide < 2 or high < 2


def test_words_without_a_place_are_left_out():
    _, [axes] = panels(1, 1, (480, 640))
    show(axes, np.zeros((480, 640, 3), np.uint8))
    caption(axes, ["elephant 0.98"] * 5, np.full((5, 4), (0, 0, 640, 480), np.float32), COLORS[:5])
    assert len(axes.texts) == 4  # one in each corner of the image
