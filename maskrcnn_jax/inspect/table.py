"""Tables as text and as HTML."""

import math
import re
from collections.abc import Collection, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

LONG = 30
"""Tables with more entries can be folded."""


class Table(NamedTuple):
    """Entries with a value per column; columns of numbers are aligned to the right."""

    columns: Sequence[str]
    entries: Sequence[Sequence[object]]
    caption: str = ""
    marked: Collection[int] = ()
    """Indices of entries that are highlighted."""

    def __str__(self) -> str:
        """The table as text."""
        cells = [tuple(map(shown, entry)) for entry in self.entries]
        right = self._numeric()
        widths = [max(map(len, column)) for column in zip(self.columns, *cells, strict=True)]
        lines = [self.caption] if self.caption else []
        for entry in (self.columns, *cells):
            aligned = zip(entry, widths, right, strict=True)
            line = "  ".join(cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in aligned)
            lines.append(line.rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The table in a notebook, with texts aligned to the left."""
        left = ' style="text-align: left">'
        return self.html().replace("<td>", f"<td{left}").replace('<th scope="col">', f'<th scope="col"{left}')

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The table in IPython's terminal."""
        printer.text(str(self))

    def html(self, *, folded: bool = False) -> str:
        """The table as HTML; a long one can be folded, and is so at first if `folded`."""
        kinds = [' class="number"' if numeric else "" for numeric in self._numeric()]
        head = "".join(f'<th scope="col"{kind}>{escape(c)}</th>' for c, kind in zip(self.columns, kinds, strict=True))
        lines = []
        for index, entry in enumerate(self.entries):
            marked = ' class="marked"' if index in self.marked else ""
            cells = "".join(f"<td{kind}>{escape(shown(cell))}</td>" for cell, kind in zip(entry, kinds, strict=True))
            lines.append(f"<tr{marked}>{cells}</tr>\n")
        table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(lines)}</tbody>\n</table>"
        table = f'<div class="table">{table}</div>\n'
        caption = escape(self.caption)
        if len(self.entries) > LONG:
            title = f"{caption or 'Table'} ({len(self.entries)} entries)"
            return f"<details{'' if folded else ' open'}><summary>{title}</summary>\n{table}</details>\n"
        return f'<p class="caption">{caption}</p>\n{table}' if caption else table

    def _numeric(self) -> list[bool]:
        """Whether each column holds numbers, empty cells, and texts that begin with a digit alone."""

        def numeric(value: object) -> bool:
            if isinstance(value, str):
                return not value or bool(re.match(r"[−-]?\d", value))
            return value is None or isinstance(value, int | float | np.number)

        return [all(numeric(entry[column]) for entry in self.entries) for column in range(len(self.columns))]


def shown(value: object) -> str:
    """A value as tables show it: four digits of a float, 1×3×64 for a shape, – for None and NaN."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, tuple):
        return "×".join(map(str, value)) or "scalar"
    return str(value)
