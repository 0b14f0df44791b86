"""A data set in numbers that were worked out by hand."""

import numpy as np
import pytest
from examples import Images, example

from maskrcnn_jax.config import AnchorConfig
from maskrcnn_jax.inspect.data.number_steps import (
    area_table,
    class_figure,
    object_figure,
    object_size_table,
    size_figure,
    spread_table,
)
from maskrcnn_jax.inspect.data.numbers import DataNumbers, read_numbers
from maskrcnn_jax.inspect.data.stored_steps import class_table

CAT, DOG, OWL = range(3)
HALVES = np.zeros((40, 60, 3), np.uint8)
HALVES[:20] = (20, 60, 100)
SOURCE = Images(
    example(
        (CAT, (0, 0, 10, 20)),
        (OWL, (30, 10, 50, 20)),
        image=np.full((40, 60, 3), 10, np.uint8),
        is_crowd=np.array([False, True]),
    ),
    None,
    example((CAT, (2, 2, 6, 6)), image=HALVES, image_id=8, boxes=np.array([[2, 2, 6.5, 6]], np.float32)),
    example(image_id=9),
)
NAN = pytest.approx(np.nan, nan_ok=True)


def numbers(*positions: int, threads: int = 2) -> DataNumbers:
    return read_numbers(SOURCE, positions, threads)


def stairs(axes) -> np.ndarray:
    """The values of a panel's histogram, without its outline's ends."""
    return axes.patches[0].get_data().values


@pytest.mark.parametrize("threads", [1, 3])
def test_numbers_of_each_image_in_order(threads: int):
    found = numbers(3, 2, 1, 0, threads=threads)
    assert [(image.position, image.image_id, image.size) for image in found.images] == [
        (3, 9, (40, 60)),
        (2, 8, (40, 60)),
        (0, 7, (40, 60)),
    ]
    assert found.broken == ["image 1 is broken"]
    assert found.counts().tolist() == [0, 1, 2]
    assert found.objects("labels").tolist() == [CAT, CAT, OWL]
    assert found.objects("mask_areas").tolist() == [16, 200, 200]
    assert found.objects("distances").tolist() == [0.5, 0, 0]  # a side of a box lies at 6.5 in place of 6


def test_colours():
    # red of the two images: all 10, and 20 and 0 in equal parts: means 10 and 10, squares 100 and 200
    mean, deviation = numbers(0, 2).colors()
    np.testing.assert_allclose(mean, [10, (10 + 30) / 2, (10 + 50) / 2])
    np.testing.assert_allclose(deviation[0], (150 - 100) ** 0.5)
    # blue: squares 100 and 5000
    np.testing.assert_allclose(deviation[2], (2550 - 900) ** 0.5)


def test_classes_are_counted_and_missing_ones_marked():
    table = class_table(numbers(0, 1, 2, 3), SOURCE)
    assert table.entries == [
        (0, "cat", 2, 2, "66.7%", 0, 2),
        (1, "dog", 5, 0, "0.0%", 0, 0),
        (2, "owl", 17, 1, "33.3%", 1, 1),
    ]
    assert table.marked == [1]


def test_spread_by_hand():
    # 0 … 100: the percentiles are the numbers themselves
    [row, empty] = spread_table((("x", np.arange(101)), ("nothing", np.array([]))), "").entries
    assert row == ("x", 101, 50, 0, 5, 50, 95, 100)
    assert empty == ("nothing", 0, *[NAN] * 6)


def test_objects_by_hand():
    entries = {row[0]: row[1:] for row in object_size_table(numbers(0, 2, 3)).entries}
    # boxes of height × width 20 × 10, 10 × 20, 4 × 4.5; objects in an image 2, 1, 0
    assert entries["objects in an image"][:3] == (3, 1, 0)
    assert entries["box height"][:3] == (3, pytest.approx(34 / 3), 4)
    assert entries["box height / width"][2] == 0.5 and entries["box height / width"][-1] == 2
    assert entries["√ box area"][-1] == pytest.approx(200**0.5)
    assert entries["share of the box that the mask covers"][2] == pytest.approx(16 / 18)


def test_images_by_area():
    """A square of 256 is no larger than 256², and bins without an image are left out."""
    small = example((CAT, (0, 0, 10, 20)), (CAT, (0, 0, 30, 40)), (CAT, (0, 0, 2, 2)), size=(256, 256))
    large = example(size=(601, 600))
    found = read_numbers(Images(small, large), [0, 1], 1)
    assert area_table(found).entries == [
        ("up to 256²", 1, "3.0", 3, 3, 3, 20, 10, pytest.approx(200**0.5)),
        ("up to 1300²", 1, "0.0", 0, 0, 0, NAN, NAN, NAN),
    ]


def test_every_image_is_in_the_histograms_of_sizes():
    sizes = np.array([[40, 60], [40, 200], [41, 60], [500, 333]])
    figure = size_figure(sizes)
    height, width, both, _ = figure.axes
    assert stairs(height).sum() == stairs(width).sum() == 4
    assert np.nansum(both.collections[0].get_array()) == 4
    shown = {(round(x), round(y)) for x, y in _centres(both.collections[0])}
    assert len(shown) == 3  # 40 and 41 are in one bin, 60 wide both


def _centres(mesh) -> np.ndarray:
    corners, counts = mesh.get_coordinates(), mesh.get_array()
    return ((corners[:-1, :-1] + corners[1:, 1:]) / 2)[np.asarray(counts.filled(0)) > 0]


def test_objects_beside_anchors():
    found = numbers(0, 2, 3)
    anchors = AnchorConfig(sizes=(8.0, 16.0), aspect_ratios=(0.5, 1.0, 2.0))
    per_image, sizes, shapes = object_figure(found, np.array([2.0, 4.0, 1.0]), anchors).axes
    assert stairs(per_image).tolist() == [0, 1, 1, 1, 0]
    values, edges, _ = sizes.patches[0].get_data()
    # √200 · 2 twice, and √18 · 4
    expected = np.histogram([200**0.5 * 2, 200**0.5 * 2, 18**0.5 * 4], edges)[0]
    assert values.tolist() == expected.tolist() and values.sum() == 3
    assert [line.get_xdata()[0] for line in sizes.lines] == [8, 16]
    assert [line.get_xdata()[0] for line in shapes.lines] == [0.5, 1, 2]
    assert stairs(shapes).sum() == 3


def test_no_object_at_all():
    figure = object_figure(numbers(3), np.array([1.0]), AnchorConfig())
    assert stairs(figure.axes[1]).sum() == 0
    assert all(row[1] in (0, 1) for row in object_size_table(numbers(3)).entries)
    assert class_table(numbers(3), SOURCE).marked == [0, 1, 2]


def test_bars_of_classes():
    axes = class_figure(numbers(0, 2), SOURCE.class_names).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "owl", "dog"]
    assert [bar.get_width() for bar in axes.patches] == [2, 1, 0]
    names = [*SOURCE.class_names, *(f"class {n}" for n in range(3, 43))]
    many = class_figure(numbers(0, 2), names).axes[0]
    assert [text.get_text() for text in many.get_yticklabels()][:2] == ["cat", "owl"] and len(many.patches) == 40
