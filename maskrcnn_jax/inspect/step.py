"""A step of a report: an explanation with figures, facts and tables."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from matplotlib.figure import Figure

from maskrcnn_jax.inspect.table import Table, shown


class Step(NamedTuple):
    """A step of a report; a notebook displays one, and a page contains many."""

    title: str
    text: str
    """The explanation, a few sentences of plain text."""
    figures: Iterable[Figure] = ()
    """Of a generator one at a time is in memory."""
    facts: Mapping[str, object] = {}
    """Name → number or a few words."""
    tables: Sequence[Table] = ()

    def _ipython_display_(self) -> None:
        """Displays the step as outputs of a notebook's cell; IPython calls it."""
        from IPython.display import display

        facts = ", ".join(f"{name}: {shown(value)}" for name, value in self.facts.items())
        html = f"<h3>{escape(self.title)}</h3>\n<p>{escape(self.text)}</p>\n" + f"<p>{escape(facts)}</p>" * bool(facts)
        text = "\n\n".join(filter(None, (self.title, self.text, facts)))
        display({"text/html": html, "text/plain": text}, raw=True)
        for shown_in_order in (self.figures, self.tables):
            for each in shown_in_order:
                display(each)
