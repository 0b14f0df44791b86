"""A report: a folder of figures and a self-contained HTML page, made of steps in order."""

import base64
import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskrcnn_jax.draw.images import save_png
from maskrcnn_jax.inspect.panels import DPI
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import shown

FILE_NAME = "index.html"
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Colours in full resolution, so that coloured text and lines stay sharp."""


def write_page(folder: Path | str, title: str, steps: Iterable[Step | None]) -> Path:
    """Writes the steps as `NN_title.png` and as `index.html`, which holds the images too, photographs as JPEG.

    Steps and their figures are evaluated one at a time; each is written and freed before the next. An earlier report in
    the folder is replaced once this one is complete; other files there are kept.

    Args:
        folder: Empty, absent, or with an earlier report in it.
        title: Of the page.
        steps: In the order of the page; None is left out.

    Returns:
        The path of the page.

    Raises:
        ValueError: The folder holds files but no report; it is not changed.
        OSError: The folder cannot be written.
    """
    folder = Path(folder)
    replaced = _replaceable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unfinished-") as name:
        scratch = Path(name)
        sections: list[tuple[str, str]] = []
        for step in steps:
            if step is not None:
                sections.append((escape(step.title), _section(step, len(sections) + 1, scratch)))
            del step  # and its figures, before the next is made
        names = sorted(path.name for path in scratch.iterdir())
        (scratch / FILE_NAME).write_text(_page(escape(title), names, sections), encoding="utf-8")
        for old in replaced:
            (folder / old).unlink(missing_ok=True)
        for new in sorted(scratch.iterdir(), key=lambda path: path.name == FILE_NAME):  # the page last
            new.replace(folder / new.name)
    return folder / FILE_NAME


def _replaceable(folder: Path) -> list[str]:
    """The images of an earlier report."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder")
    if not folder.exists() or all(entry.name.startswith(".") for entry in folder.iterdir()):
        return []
    start = ""
    if (folder / FILE_NAME).exists():
        with (folder / FILE_NAME).open(encoding="utf-8", errors="replace") as file:
            start = file.readline(100) + file.readline(100_000)
    found = re.match(r'<!DOCTYPE html>\n<html lang="en" data-report-of="maskrcnn_jax" data-images="([\w. ]*)">', start)
    if not found:
        raise ValueError(f"{folder} holds files that are not a report; name an empty folder or a new one")
    return found[1].split()


def _section(step: Step, number: int, folder: Path) -> str:
    """The section of a step as HTML, with its figures, which are written to the folder, too."""
    title = escape(step.title)
    parts = [f'<h2 id="title-{number}"><span>{number}</span> {title}</h2>\n<p>{escape(step.text)}</p>\n']
    if step.facts:
        facts = (f"<div><dt>{escape(k)}</dt><dd>{escape(shown(v))}</dd></div>" for k, v in step.facts.items())
        parts.append(f"<dl>{''.join(facts)}</dl>\n")
    figures, count = iter(step.figures), 0
    while (figure := next(figures, None)) is not None:
        count += 1
        ending = f"_{count}" if count > 1 else ""
        source = _write_figure(figure, folder / f"{number:02}_{_slug(step.title)}{ending}.png")
        width, height = (round(96 * side) for side in figure.get_size_inches())
        alt = f"{title}, figure {count}" if count > 1 else title
        parts.append(f'<img width="{width}" height="{height}" alt="{alt}" src="{source}">\n')
        del figure  # before the next is made
    parts += [table.html(folded=bool(count or step.facts)) for table in step.tables]
    return "".join(parts)


def _write_figure(figure: Figure, path: Path) -> str:
    """Writes a figure as PNG; its URL for the page is a JPEG if that takes less than half, as for photographs."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    save_png(path, pixels)  # savefig takes three times as long to encode photographs
    kind, data = "png", path.read_bytes()
    coded = cv2.imencode(".jpg", pixels[..., ::-1], JPEG)[1].tobytes()
    if 2 * len(coded) < len(data):
        kind, data = "jpeg", coded
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60] or "step"


def _page(title: str, images: Sequence[str], sections: Sequence[tuple[str, str]]) -> str:
    """The page as HTML: a list of contents and the sections, each a title and its HTML, with links to the next ones."""
    titles, parts = [name for name, _ in sections], []
    for number, (_, section) in enumerate(sections, start=1):
        before = f'<a rel="prev" href="#step-{number - 1}">← {titles[number - 2]}</a>' if number > 1 else ""
        after = f'<a rel="next" href="#step-{number + 1}">{titles[number]} →</a>' if number < len(titles) else ""
        parts.append(
            f'<section id="step-{number}" aria-labelledby="title-{number}">\n{section}'
            f'<nav class="steps" aria-label="From step {number}">\n<span>{before}</span>'
            f'<a href="#contents">Contents</a><span>{after}</span>\n</nav>\n</section>\n'
        )
    contents = "".join(f'<li><a href="#step-{number}">{name}</a></li>\n' for number, name in enumerate(titles, 1))
    return f"""<!DOCTYPE html>
<html lang="en" data-report-of="maskrcnn_jax" data-images="{" ".join(images)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<nav id="contents" aria-label="Contents">
<ol>
{contents}</ol>
</nav>
{"".join(parts)}</main>
</body>
</html>
"""


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
h2 span { display: inline-block; min-width: 1.9em; padding: 0 .4em; margin-right: .3em; text-align: center;
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
td.number:last-child { min-width: 0; }
th { color: var(--soft); background: var(--band); }
td.number, th.number { text-align: right; }
tbody tr:hover { background: var(--band); }
tbody tr.marked { background: var(--mark); }
.steps { display: flex; justify-content: space-between; gap: 1rem; margin-top: 1rem; font-size: .9rem; }
.steps span { flex: 1; }
.steps span:last-child { text-align: right; }
"""
