"""Panels with images: coordinates, colours, and legends that cover nothing."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.colors import COLORS, Ink, class_colors
from maskrcnn_jax.inspect.panels import draw_boxes, draw_refined, legend, panels, show, tint

BOXES = np.array([[2.0, 3.0, 10.0, 5.0], [0.5, 1.0, 4.0, 8.0]], np.float32)


def rendered(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


@pytest.mark.parametrize(
    ("labels", "indices"),
    [
        ([1, 0, 1], {0: 0, 1: 1}),
        ([9, 2], {2: 2, 9: 3}),  # both would have colour 2: 9 mod 7
        ([6, 13], {6: 6, 13: 0}),  # after the last comes the first
        ([], {}),
    ],
)
def test_classes_keep_their_colour_or_take_the_next(labels, indices):
    assert class_colors(labels) == {label: COLORS[index] for label, index in indices.items()}


def test_no_two_of_many_classes_share_a_colour():
    chosen = class_colors(range(3, 83))
    assert len(set(chosen.values())) == 80
    assert [chosen[label] for label in range(3, 10)] == [COLORS[label % 7] for label in range(3, 10)]


def test_coordinates_are_pixels_of_the_image():
    figure, [axes] = panels(1, 1, (2, 4))
    image = np.zeros((2, 4, 3), np.uint8)
    image[1, 3] = (255, 0, 0)
    show(axes, image, "a $ and a $")
    drawn = rendered(figure)
    x, y = axes.transData.transform((3.5, 1.5))  # the centre of the last pixel
    assert tuple(drawn[round(drawn.shape[0] - y), round(x)]) == (255, 0, 0)
    x, y = axes.transData.transform((2.9, 1.1))
    assert tuple(drawn[round(drawn.shape[0] - y), round(x)]) == (0, 0, 0)
    assert axes.title.get_text() == "a $ and a $" and not axes.title.get_parse_math()


def test_boxes_and_lines_lie_where_they_are():
    _, [axes] = panels(1, 1, (10, 10))
    show(axes, np.zeros((10, 10, 3), np.uint8))
    draw_refined(axes, BOXES, BOXES + 1, COLORS[:2])
    boxes, moved, lines = axes.collections
    for layer, expected in ((boxes, BOXES), (moved, BOXES + 1)):
        for path, (x0, y0, x1, y1) in zip(layer.get_paths(), expected, strict=True):
            assert path.vertices[:4].tolist() == [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    assert [path.vertices.tolist() for path in lines.get_paths()] == [
        [[2, 3], [3, 4]],
        [[0.5, 1], [1.5, 2]],
    ]
    assert [to_rgb(color) for color in boxes.get_edgecolor()] == [pytest.approx(color) for color in COLORS[:2]]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 10), (10, 0))  # boxes do not move the image


@pytest.mark.parametrize("ground", [0, 255])
def test_lines_are_seen_on_light_and_on_dark_images(ground: int):
    figure, [axes] = panels(1, 1, (10, 10))
    show(axes, np.full((10, 10, 3), ground, np.uint8))
    draw_boxes(axes, np.array([[2.0, 2.0, 8.0, 8.0]], np.float32), COLORS[3:4])  # yellow, the palest
    drawn = rendered(figure).astype(int)
    x, y = axes.transData.transform((5, 2))
    column = drawn[round(drawn.shape[0] - y) - 8 : round(drawn.shape[0] - y) + 8, round(x)]
    # Yellow is 0.3 × 240 + 0.59 × 228 + 0.11 × 66 = 214 bright: 41 from white, of which the rim takes 0.55, 140.
    brightness = column @ [0.299, 0.587, 0.114]
    assert np.abs(brightness - ground).max() > 100


def test_later_masks_lie_on_top():
    _, [axes] = panels(1, 1, (1, 3))
    first, second = np.array([[True, True, False]]), np.array([[False, True, True]])
    tint(axes, (first, second), COLORS[:2], strength=1.0)
    layer = axes.images[0].get_array()
    expected = np.rint(255 * np.array([COLORS[0], COLORS[1], COLORS[1]])).astype(int)
    np.testing.assert_array_equal(layer[0, :, :3], expected)
    assert layer[0, :, 3].tolist() == [255, 255, 255]


def test_the_legend_is_below_everything():
    figure, axes = panels(2, 2, (30, 40))
    for panel in axes:
        show(panel, np.zeros((30, 40, 3), np.uint8), "title")
    legend(figure, {f"class number {n}": Ink(COLORS[n % 7], "--") for n in range(15)} | {"$x$": Ink(COLORS[0])})
    rendered(figure)
    [words] = figure.legends
    assert words.get_window_extent().y1 <= min(panel.get_window_extent().y0 for panel in axes)
    assert words.get_window_extent().x0 >= 0 and words.get_window_extent().y0 >= 0
    assert words.get_window_extent().x1 <= figure.bbox.x1
    assert "$x$" in [text.get_text() for text in words.get_texts()]
    assert not any(text.get_parse_math() for text in words.get_texts())


@pytest.mark.parametrize("count", [1, 3, 5, 7])
def test_a_legend_is_read_row_by_row(count: int):
    figure, _ = panels(1, 1, (30, 40))
    figure.set_figwidth(4)
    names = [f"P{n}: some {n} pixels" for n in range(count)]
    legend(figure, {name: Ink(COLORS[n]) for n, name in enumerate(names)})
    rendered(figure)
    texts = figure.legends[0].get_texts()
    corners = {text.get_text(): text.get_window_extent().get_points()[0] for text in texts}
    assert sorted(names, key=lambda name: (-round(corners[name][1] / 5), corners[name][0])) == names
    colors = [line.get_color() for line in figure.legends[0].get_lines()]
    assert colors == [COLORS[names.index(text.get_text())] for text in texts]
