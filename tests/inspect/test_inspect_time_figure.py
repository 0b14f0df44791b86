"""Bars of times: lengths and totals added up by hand."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from maskrcnn_jax.inspect.time_figure import time_figure

SECONDS = {"slow": {"proposals": 0.5, "network": 1.5}, "quick": {"network": 0.25}}


def test_parts_of_a_bar_follow_each_other():
    (axes,) = time_figure(SECONDS, "where it goes").axes
    proposals, network = axes.containers
    assert (proposals.get_label(), network.get_label()) == ("proposals", "network")
    # (start, length) in ms, bar by bar: the network's part begins where the proposals' ends.
    assert [(bar.get_x(), bar.get_width()) for bar in proposals] == [(0, 500), (0, 0)]
    assert [(bar.get_x(), bar.get_width()) for bar in network] == [(500, 1500), (0, 250)]
    assert proposals[0].get_facecolor() != network[0].get_facecolor()


def test_the_total_is_at_the_end_of_each_bar():
    (axes,) = time_figure(SECONDS).axes
    assert [(note.get_text(), note.xy) for note in axes.texts] == [("2,000 ms", (2000, 0)), ("250 ms", (250, 1))]


def test_names_and_numbers_are_inside_the_plot_and_apart():
    figure = time_figure(SECONDS, "where it goes", closer=("slow", "quick"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    notes = [note.get_window_extent() for axes in figure.axes for note in axes.texts]
    labels = [label.get_window_extent() for axes in figure.axes for label in axes.get_yticklabels()]
    for extent in [*notes, *labels, legend.get_window_extent()]:
        assert extent.x0 >= 0 and extent.y0 >= 0
        assert extent.x1 <= figure.bbox.x1 and extent.y1 <= figure.bbox.y1
    bars = [bar.get_window_extent() for axes in figure.axes for container in axes.containers for bar in container]
    assert not any(note.overlaps(bar) for note in notes for bar in bars)
    assert not legend.get_window_extent().overlaps(figure.axes[-1].xaxis.label.get_window_extent())


def test_a_closer_look_keeps_colours():
    whole, closer = time_figure(SECONDS, closer=("quick",)).axes
    assert [note.get_text() for note in closer.texts] == ["250 ms"]
    assert whole.get_xlim()[1] > 2000 and 250 < closer.get_xlim()[1] < 300
    networks = [next(c for c in axes.containers if c.get_label() == "network") for axes in (whole, closer)]
    assert networks[0][0].get_facecolor() == networks[1][0].get_facecolor()


def test_what_cannot_be_drawn_is_an_error():
    with pytest.raises(ValueError, match="at least one bar"):
        time_figure({})
    with pytest.raises(ValueError, match=r"closer = \['slower'\] of \['slow', 'quick'\]"):
        time_figure(SECONDS, closer=("slower",))
