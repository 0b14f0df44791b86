"""Figures of Matplotlib whose texts are shown as they are."""

from matplotlib import rc_context
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text


class LiteralFigure(Figure):
    """A figure in which no text is read as mathematics.

    Matplotlib takes two dollar signs for the borders of a formula, and ends with an error where it is none; names of
    classes, files and tensors may hold any. What formats ticks must not write formulas, as Matplotlib's own formatter
    of logarithmic axes does.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draws the figure, as Matplotlib calls it for every canvas."""
        with rc_context({"text.parse_math": False}):  # ticks are made while they are drawn
            for text in self.findobj(Text):
                text.set_parse_math(False)
            super().draw(renderer)
