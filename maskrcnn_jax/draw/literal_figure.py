"""Matplotlib's figure without mathematical notation."""

from matplotlib import rc_context
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text


class LiteralFigure(Figure):
    """A figure in which no text is parsed as mathematics.

    Matplotlib parses text between two dollar signs as a formula and raises an error if it is none; names of classes,
    files and tensors may contain any. Formatters of ticks must not write formulas, as Matplotlib's own formatter of
    logarithmic axes does.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draws the figure, as Matplotlib calls it for every canvas."""
        with rc_context({"text.parse_math": False}):  # ticks are created while drawing
            for text in self.findobj(Text):
                text.set_parse_math(False)
            super().draw(renderer)
