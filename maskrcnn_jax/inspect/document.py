"""The page of a report: HTML that needs no other file, and is read on light and on dark screens."""

import base64
import math
import re
from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import cv2
import numpy as np

FILE_NAME = "index.html"
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Colours in full resolution, so that coloured text and lines stay sharp."""
LONG = 30
"""Tables of more rows are folded at first, unless a step has nothing else to show."""


class Table(NamedTuple):
    """Rows below column titles; numbers stand to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    marked: Collection[int] = ()
    """Rows that stand out."""

    def __str__(self) -> str:
        """The table as text; numbers stand to the right."""
        rows = [tuple(map(shown, row)) for row in self.rows]
        right = [_is_numeric(self, place) for place in range(len(self.columns))]
        widths = [max(map(len, column)) for column in zip(self.columns, *rows, strict=True)]
        lines = [self.caption] if self.caption else []
        for row in (self.columns, *rows):
            cells = zip(row, widths, right, strict=True)
            line = "  ".join(cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in cells)
            lines.append(line.rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """How notebooks show it, whose own style puts texts to the right, too."""
        html = _html(self, folded=False)
        left = ' style="text-align: left">'
        return html.replace("<td>", f"<td{left}").replace('<th scope="col">', f'<th scope="col"{left}')

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How IPython shows it: as `print` does."""
        printer.text(str(self))


class Picture(NamedTuple):
    """A file and the size at which it is shown, in CSS pixels."""

    path: Path
    width: int
    height: int


class Section(NamedTuple):
    """A step whose pictures are written."""

    title: str
    text: str
    pictures: Sequence[Picture]
    facts: Mapping[str, object]
    tables: Sequence[Table]


def shown(value: object) -> str:
    """A value as tables show it: four digits of a float, 1×3×64 for a shape, – for what there is not."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, tuple):
        return "×".join(map(str, value)) or "scalar"
    return str(value)


def earlier_pictures(page: Path) -> list[str] | None:
    """The pictures beside a page of ours; None if there is no such page."""
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            start = file.readline(100) + file.readline(100_000)
    except FileNotFoundError:
        return None
    found = re.match(
        r'<!DOCTYPE html>\n<html lang="en" data-report-of="maskrcnn_jax" data-pictures="([\w. ]*)">', start
    )
    return found[1].split() if found else None


def write_html(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the page; of the pictures, which are read from their files, one at a time is in memory."""
    names = " ".join(picture.path.name for section in sections for picture in section.pictures)
    with path.open("w", encoding="utf-8") as file:
        file.write(
            f'<!DOCTYPE html>\n<html lang="en" data-report-of="maskrcnn_jax" data-pictures="{names}">\n'
            f'<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n'
            f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
            f'<nav id="contents" aria-label="Contents">\n<ol>\n'
        )
        for number, section in enumerate(sections, start=1):
            file.write(f'<li><a href="#step-{number}">{escape(section.title)}</a></li>\n')
        file.write("</ol>\n</nav>\n")
        for number, section in enumerate(sections, start=1):
            _write_section(file, number, section, [other.title for other in sections])
        file.write("</main>\n</body>\n</html>\n")


def _write_section(file: TextIO, number: int, section: Section, titles: Sequence[str]) -> None:
    title = escape(section.title)
    file.write(
        f'<section id="step-{number}" aria-labelledby="title-{number}">\n'
        f'<h2 id="title-{number}"><span class="number">{number}</span> {title}</h2>\n<p>{escape(section.text)}</p>\n'
    )
    if section.facts:
        facts = (f"<div><dt>{escape(k)}</dt><dd>{escape(shown(v))}</dd></div>" for k, v in section.facts.items())
        file.write(f"<dl>{''.join(facts)}</dl>\n")
    for place, (picture, width, height) in enumerate(section.pictures, start=1):
        which = f", picture {place} of {len(section.pictures)}" if len(section.pictures) > 1 else ""
        source = _data_url(picture)
        file.write(f'<img width="{width}" height="{height}" alt="{title}{which}" src="{source}">\n')
    for table in section.tables:
        file.write(_html(table, folded=bool(section.pictures or section.facts)))
    before = f'<a rel="prev" href="#step-{number - 1}">← {escape(titles[number - 2])}</a>' if number > 1 else ""
    after = f'<a rel="next" href="#step-{number + 1}">{escape(titles[number])} →</a>' if number < len(titles) else ""
    file.write(
        f'<nav class="steps" aria-label="From step {number}">\n<span>{before}</span>'
        f'<a href="#contents">Contents</a><span>{after}</span>\n</nav>\n</section>\n'
    )


def _data_url(picture: Path) -> str:
    """A picture as a page holds it: photographs, of which PNG takes more than twice as much, as JPEG."""
    kind, data = "png", picture.read_bytes()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, f"{picture} is no picture"
    coded = cv2.imencode(".jpg", pixels, JPEG)[1].tobytes()
    if 2 * len(coded) < len(data):
        kind, data = "jpeg", coded
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _html(table: Table, *, folded: bool) -> str:
    caption = escape(table.caption)
    long = len(table.rows) > LONG
    parts = []
    if long:
        title = f"{caption or 'Table'} ({len(table.rows)} rows)"
        parts.append(f"<details{'' if folded else ' open'}><summary>{title}</summary>\n")
    elif caption:
        parts.append(f'<p class="caption">{caption}</p>\n')
    kinds = [' class="figure"' if _is_numeric(table, place) else "" for place in range(len(table.columns))]
    titles = "".join(f'<th scope="col"{kind}>{escape(c)}</th>' for c, kind in zip(table.columns, kinds, strict=True))
    parts.append(f'<div class="table"><table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n')
    for place, row in enumerate(table.rows):
        cells = "".join(f"<td{kind}>{escape(shown(cell))}</td>" for cell, kind in zip(row, kinds, strict=True))
        marked = ' class="marked"' if place in table.marked else ""
        parts.append(f"<tr{marked}>{cells}</tr>\n")
    parts.append(f"</tbody>\n</table></div>\n{'</details>' if long else ''}\n")
    return "".join(parts)


def _is_numeric(table: Table, place: int) -> bool:
    """Whether a column stands to the right."""
    return all(_numeric(row[place]) for row in table.rows)


def _numeric(value: object) -> bool:
    """Whether a column of such values is one of numbers: of those, gaps, and texts that begin with a digit."""
    return (
        value is None
        or value == ""
        or isinstance(value, int | float | np.number)
        or bool(isinstance(value, str) and re.match(r"[−-]?\d", value))
    )


STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #ffffff; --soft: #5c5f66; --line: #d8dade; --band: #f4f5f7;
  --link: #0059a8; --mark: #fff1d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6ea; --paper: #17181b; --soft: #a3a7b0; --line: #3a3d44; --band: #212327; --link: #7ab8f5;
    --mark: #4a3510; }
}
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
.number { display: inline-block; min-width: 1.9em; padding: 0 .4em; margin-right: .3em; text-align: center;
  color: var(--paper); background: var(--soft); border-radius: .9em; }
a { color: var(--link); }
section { border-top: 1px solid var(--line); padding-top: 1.5rem; margin-top: 2rem; }
#contents ol { columns: 20rem; padding-left: 1.75rem; }
p { max-width: 75ch; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; height: auto; margin: 1rem 0; background: #ffffff; border-radius: 4px; }
.table { overflow-x: auto; margin: .5rem 0 1rem; }
.caption, summary { color: var(--soft); margin: 1rem 0 0; }
summary { cursor: pointer; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { padding-left: .5rem; }
td:last-child { white-space: normal; min-width: 12rem; }
td.figure:last-child { min-width: 0; }
th { color: var(--soft); background: var(--band); }
.figure { text-align: right; }
tbody tr:hover { background: var(--band); }
tbody tr.marked { background: var(--mark); }
.steps { display: flex; justify-content: space-between; gap: 1rem; margin-top: 1rem; font-size: .9rem; }
.steps span { flex: 1; }
.steps span:last-child { text-align: right; }
"""
