"""Plots and tables of predictions beside objects."""

import numpy as np
import pytest
from inspected import drawn, numbers, texts

from maskrcnn_jax.inspect.model.match_steps import error_figure, error_table, overlap_figure, precision_figure
from maskrcnn_jax.inspect.model.matches import Outcome

NAMES = {2: "cat", 5: "dog"}
BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]], float)
OUTCOME = Outcome(
    boxes=BOXES,
    scores=np.array([0.9, 0.8, 0.7]),
    categories=np.array([2, 5, 2]),
    object_boxes=BOXES[:2] + 1,
    object_categories=np.array([2, 2]),
    is_crowd=np.zeros(2, bool),
    iou=np.array([[0.8, 0], [0, 0.7], [0, 0]]),
)
"""A cat found, a cat called a dog, and a cat where nothing is."""


def empty(predictions: int, objects: int) -> Outcome:
    """So many predictions and objects that have nothing in common."""
    return Outcome(
        BOXES[:predictions],
        OUTCOME.scores[:predictions],
        OUTCOME.categories[:predictions],
        BOXES[:objects],
        OUTCOME.object_categories[:objects],
        OUTCOME.is_crowd[:objects],
        np.zeros((predictions, objects)),
    )


def test_precision_over_recall():
    figure = precision_figure(OUTCOME, (0.5, 0.9))
    axes = figure.axes[0]
    points, steps = axes.lines[0], axes.lines[1]
    # one of one, of two, of three; of two objects
    np.testing.assert_allclose(points.get_xydata(), [[0.5, 1], [0.5, 0.5], [0.5, 1 / 3]])
    np.testing.assert_allclose(steps.get_xydata(), [[0, 1], [0.5, 1], [0.5, 0.5], [0.5, 1 / 3]])
    labels = [numbers(text.get_text()) for text in figure.legends[0].get_texts()]
    assert labels == [[0.5, 0.5], [0.9, 0]]  # IoU and AP


def test_overlaps_in_numbers():
    axes = overlap_figure(OUTCOME, NAMES).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), OUTCOME.iou)
    # The first has its object, the second is of another class.
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "0.80 ✓", (1, 1): "0.70 ×"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat 0.90", "dog 0.80", "cat 0.70"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "cat"]


def test_a_duplicate_has_no_tick():
    twice = OUTCOME._replace(categories=np.array([2, 2, 2]), iou=np.array([[0.8, 0], [0.7, 0], [0, 0]]))
    assert texts(overlap_figure(twice, NAMES)) == ["0.80 ✓", "0.70"]


def test_errors_by_kind():
    figure = error_figure(np.zeros((40, 40, 3), np.uint8), OUTCOME, NAMES)
    layers = [layer for layer in drawn(figure) if layer]
    found, wrong, nothing, near = layers
    assert found == [BOXES[0].tolist()] and wrong == [BOXES[1].tolist()] and nothing == [BOXES[2].tolist()]
    assert near == [(BOXES[1] + 1).tolist()]  # the second object: with the right class it would be found
    assert texts(figure) == ["cat 0.90 / 0.80", "dog 0.80 / 0.70", "cat 0.70 / 0.00"]
    assert error_table(OUTCOME).entries == [
        ("found", 1, 1),
        ("wrong class", 1, 0),
        ("on nothing", 1, 0),
        ("not found, a prediction is near", 0, 1),
    ]


def test_of_many_errors_of_a_kind_the_best_are_drawn():
    """Ten cats found and between them ten where nothing is, best first: a cat, nothing, a cat, nothing, …"""
    x = np.arange(20.0)
    boxes = np.stack([2 * x, x, 2 * x + 1, x + 1], axis=1)
    many = Outcome(
        boxes=boxes,
        scores=np.linspace(0.99, 0.8, 20),  # in steps of 0.01
        categories=np.full(20, 2),
        object_boxes=boxes[::2],
        object_categories=np.full(10, 2),
        is_crowd=np.zeros(10, bool),
        iou=np.repeat(np.eye(10), 2, axis=0) * (np.arange(20) % 2 == 0)[:, None],
    )
    figure = error_figure(np.zeros((40, 40, 3), np.uint8), many, NAMES)
    found, nothing = [layer for layer in drawn(figure) if layer]
    assert found == boxes[::2].tolist() and nothing == boxes[1:17:2].tolist()
    # The eighth of nothing is the sixteenth of all; after it are the ninth and the tenth cat.
    assert texts(figure)[14:] == ["cat 0.85 / 1.00", "cat 0.84 / 0.00", "cat 0.83 / 1.00", "cat 0.81 / 1.00"]


@pytest.mark.parametrize(
    ("predictions", "objects", "entries"), [(0, 2, [("missed", 0, 2)]), (2, 0, [("on nothing", 2, 0)]), (0, 0, [])]
)
def test_nothing_found_or_nothing_there(predictions: int, objects: int, entries: list):
    outcome = empty(predictions, objects)
    layers = drawn(error_figure(np.zeros((40, 40, 3), np.uint8), outcome, NAMES))
    assert sum(map(len, layers)) == predictions + objects
    assert error_table(outcome).entries == entries
