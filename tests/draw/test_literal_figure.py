"""Names with dollar signs are drawn as they are."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskrcnn_jax.draw.literal_figure import LiteralFigure


def drawn(kind: type[Figure], name: str) -> np.ndarray:
    """A name in every kind of text."""
    figure = kind(figsize=(4, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], label=name)
    left.legend()
    left.set(title=name, xlabel=name)
    right.barh([0, 1], [1, 2])
    right.set_yticks([0, 1], [name, "b"])
    right.text(0.5, 0.5, name)
    right.annotate(name, (1, 1))
    figure.legend(left.get_lines(), [name], loc="outside lower center")
    figure.suptitle(name)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


@pytest.mark.parametrize("name", ["$x_{$", "$a$", "5 $ and 6 $", r"\$", "$"])
def test_a_name_is_drawn_as_it_is(name: str):
    """As Matplotlib itself draws it where every dollar sign has its backslash."""
    expected = drawn(Figure, name.replace("$", r"\$"))
    np.testing.assert_array_equal(drawn(LiteralFigure, name), expected)
