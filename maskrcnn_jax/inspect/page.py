"""A report: a folder of pictures and one HTML page that needs nothing else, made of steps in order."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskrcnn_jax.draw.images import save_png
from maskrcnn_jax.inspect.document import FILE_NAME, Picture, Section, Table, earlier_pictures, write_html

WIDTH = 12.5
"""Of the page, inches: wider figures are scaled down."""
DPI = 144
"""Of figures in files; the page shows them at 96 to the inch, so that they are sharp on fine screens too."""


class Step(NamedTuple):
    """One step of a report."""

    title: str
    text: str
    """A sentence on what is to be seen, plain text."""
    figures: Iterable[Figure | np.ndarray] | Figure | np.ndarray = ()
    """Figures, or RGB pictures `[h, w, 3]` uint8. Of a generator one figure at a time is in memory."""
    facts: Mapping[str, object] = {}
    """What is said of the step in few words: name → figure or text."""
    tables: Sequence[Table] = ()


def write_page(folder: Path | str, title: str, steps: Iterable[Step]) -> Path:
    """Writes the steps as `NN_title.png` and as `index.html`, which holds the pictures too, photographs as JPEG.

    One step at a time is asked for, and one figure at a time of it; each is written and let go before the next.
    An earlier report in the folder is replaced once this one is complete; whatever else lies there stays.

    Args:
        folder: empty, not there yet, or with an earlier report in it.
        title: of the page.
        steps: in the order in which they are read.

    Returns:
        The path of the page.

    Raises:
        ValueError: the folder holds files but no report: it is left as it is.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    replaced = _replaceable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unfinished-") as name:
        scratch = Path(name)
        sections = [_write_section(step, number, scratch) for number, step in enumerate(steps, start=1)]
        write_html(scratch / FILE_NAME, title, sections)
        for old in replaced:
            (folder / old).unlink(missing_ok=True)
        for new in sorted(scratch.iterdir(), key=lambda path: path.name == FILE_NAME):  # the page last
            new.replace(folder / new.name)
    return folder / FILE_NAME


def _replaceable(folder: Path) -> list[str]:
    """The pictures of an earlier report."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder")
    if not folder.exists() or all(entry.name.startswith(".") for entry in folder.iterdir()):
        return []
    pictures = earlier_pictures(folder / FILE_NAME)
    if pictures is None:
        raise ValueError(f"{folder} holds files that are no report of ours; name an empty folder or a new one")
    return pictures


def _write_section(step: Step, number: int, folder: Path) -> Section:
    figures: Iterable[Figure | np.ndarray]
    figures = [step.figures] if isinstance(step.figures, Figure | np.ndarray) else step.figures
    pictures: list[Picture] = []
    drawn = iter(figures)
    while (figure := next(drawn, None)) is not None:
        ending = f"_{len(pictures) + 1}" if pictures else ""
        path = folder / f"{number:02}_{_slug(step.title)}{ending}.png"
        pictures.append(Picture(path, *_save(figure, path)))
        del figure  # before the next is made
    return Section(step.title, step.text, pictures, dict(step.facts), list(step.tables))


def _save(figure: Figure | np.ndarray, path: Path) -> tuple[int, int]:
    """Writes a figure; its width and height on the page."""
    if isinstance(figure, np.ndarray):
        save_png(path, figure)
        return figure.shape[1], figure.shape[0]
    width, height = figure.get_size_inches()
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    save_png(path, np.asarray(canvas.buffer_rgba())[..., :3])  # savefig takes three times as long to code photographs
    return round(96 * width), round(96 * height)


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60] or "step"
