"""Reports: images and a self-contained page, in order, written atomically, and never over other files."""

import base64
import gc
import re
import sys
import types
import weakref
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from maskrcnn_jax.inspect import Step, Table, write_page
from maskrcnn_jax.inspect.page import STYLE
from maskrcnn_jax.inspect.panels import WIDTH

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page, with a check that every one is closed in its turn."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def figure(title: str = "") -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().set_title(title)
    return drawn


def steps() -> Iterator[Step | None]:
    yield Step("First & foremost", "Some <b>text</b>.", [figure()], facts={"a < b": 0.123456, "shape": (1, 2)})
    yield Step("Größe, Maße", "Two figures.", (figure(str(n)) for n in range(2)))
    yield None
    yield Step("Last", "No figures.", tables=[Table(("name", "n"), [("<i>", 1), ("x", None)], "Things", {1})])


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(write_page(tmp_path / "new" / "report", "A <report>", steps()))


def test_the_images_are_named_after_their_steps(page: Page, tmp_path: Path):
    names = ["01_first_foremost.png", "02_groe_mae.png", "02_groe_mae_2.png", "index.html"]
    assert sorted(path.name for path in (tmp_path / "new" / "report").iterdir()) == names
    assert cv2.imread(str(tmp_path / "new" / "report" / names[0])).shape == (144, 288, 3)  # 2 × 1 inches at 144


def test_the_page_holds_the_images_and_needs_nothing_else(page: Page, tmp_path: Path):
    images = page.all("img")
    files = sorted((tmp_path / "new" / "report").glob("*.png"))
    for image, file in zip(images, files, strict=True):
        assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == file.read_bytes()
        assert image["alt"]
    assert (images[0]["width"], images[0]["height"]) == ("192", "96")  # at 96 to the inch
    assert not page.all("script") and not page.all("link")
    assert all(attributes["href"].startswith("#") for attributes in page.all("a"))
    style = re.search("<style>(.*)</style>", (tmp_path / "new" / "report" / "index.html").read_text(), re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme: dark" in style


def test_the_page_holds_photographs_as_jpeg_and_the_folder_as_they_are(tmp_path: Path):
    """Smooth noise, as in photographs, with letters of one colour on it: both stay within a few of 255 values."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    photograph = cv2.GaussianBlur(noise, (0, 0), 1.5)
    cv2.putText(photograph, "cat", (20, 70), cv2.FONT_HERSHEY_SIMPLEX, 2, (213, 94, 0), 3)
    covered = Figure(figsize=(160 / 144, 120 / 144))
    covered.figimage(photograph)
    [shown] = Page(write_page(tmp_path, "t", [Step("One", "", [covered])])).all("img")
    file = tmp_path / "01_one.png"
    np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], photograph)
    kind, data = shown["src"].split(",")
    assert kind == "data:image/jpeg;base64"
    coded = base64.b64decode(data)
    assert 2 * len(coded) < file.stat().st_size
    back = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    gap = np.abs(back.astype(int) - photograph)
    assert gap.mean() < 3 and np.percentile(gap, 99) < 12


def test_links_lead_from_step_to_step(page: Page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for attributes in page.all("a")} <= set(ids)
    assert [a["href"] for a in page.all("a") if a.get("rel") == "next"] == ["#step-2", "#step-3"]
    assert [a["href"] for a in page.all("a") if a.get("rel") == "prev"] == ["#step-1", "#step-2"]
    assert [a["href"] for a in page.all("a")][:3] == ["#step-1", "#step-2", "#step-3"]  # the contents


def test_text_is_text_and_numbers_are_to_the_right(page: Page):
    assert {"A <report>", "Some <b>text</b>.", "a < b", "0.1235", "1×2", "<i>", "Größe, Maße", "–"} <= set(page.words)
    assert not page.all("b") and not page.all("i")
    assert [line.get("class") for line in page.all("tr")] == [None, None, "marked"]
    assert [cell.get("class") for cell in page.all("td")] == [None, "number"] * 2


def test_long_tables_are_folded_unless_they_are_all_there_is(tmp_path: Path):
    table = Table(("n",), [(n,) for n in range(31)], "Many")
    many = [Step("With facts", "", facts={"a": 1}, tables=[table]), Step("Alone", "", tables=[table])]
    found = Page(write_page(tmp_path, "t", many))
    assert [("open" in attributes) for attributes in found.all("details")] == [False, True]


def test_one_figure_at_a_time_is_alive(tmp_path: Path):
    made: list[weakref.ref] = []
    alive = []

    def many() -> Iterator[Figure]:
        for _ in range(4):
            gc.collect()
            alive.append(sum(reference() is not None for reference in made))
            one = figure()
            made.append(weakref.ref(one))
            yield one
            del one

    write_page(tmp_path, "t", (Step(f"{n}", "", many()) for n in range(2)))
    assert alive == [0] * 8


def test_steps_are_asked_for_one_by_one(tmp_path: Path):
    """The second is made when the first is written."""

    def observed() -> Iterator[Step]:
        yield Step("One", "", [figure()])
        [scratch] = tmp_path.iterdir()
        assert [path.name for path in scratch.iterdir()] == ["01_one.png"]
        yield Step("Two", "", [figure()])

    write_page(tmp_path, "t", observed())


def test_an_earlier_report_is_replaced_and_other_files_stay(tmp_path: Path):
    write_page(tmp_path, "t", steps())
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "09_mine.png").write_text("mine too")
    write_page(tmp_path, "t", [Step("Only", "", [figure()])])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_only.png", "09_mine.png", "index.html", "notes.txt"]


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path: Path):
    write_page(tmp_path, "t", steps())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def failing() -> Iterator[Step]:
        yield Step("Other", "", [figure()])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_page(tmp_path, "t", failing())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["notes.txt", "index.html", "01_first.png"])
def test_a_folder_of_others_is_an_error_before_anything_is_made(name: str, tmp_path: Path):
    (tmp_path / name).write_text("<!DOCTYPE html>\n<html><body>mine</body></html>")

    def never() -> Iterator[Step]:
        raise AssertionError("asked for")
        yield

    with pytest.raises(ValueError, match="holds files that are not a report; name an empty folder"):
        write_page(tmp_path, "t", never())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_leftovers_of_a_killed_report_are_no_hindrance(tmp_path: Path):
    (tmp_path / ".unfinished-x").mkdir()
    assert write_page(tmp_path, "t", steps()).exists()


def test_the_widest_figure_fills_the_column():
    (column, edge) = re.findall(r"main { max-width: (\d+)px; .*padding: 1rem ([\d.]+)rem", STYLE)[0]
    assert float(column) - 2 * 16 * float(edge) == 96 * WIDTH  # a rem has 16 pixels, an inch 96


def test_a_notebook_displays_text_plots_and_tables_in_order(monkeypatch: pytest.MonkeyPatch):
    """IPython calls `_ipython_display_`; a stand-in for its `display` keeps what it gets."""
    shown: list = []
    stand_in = types.ModuleType("IPython.display")
    stand_in.display = lambda each, raw=False: shown.append((each, raw))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", stand_in)
    one, table = figure(), Table(("n",), [(1,)])
    Step("A & B", "Some <b>text</b>.", [one], {"shape": (1, 2)}, [table])._ipython_display_()
    (text, raw), *rest = shown
    assert raw and rest == [(one, False), (table, False)]
    assert "<h3>A &amp; B</h3>" in text["text/html"] and "Some &lt;b&gt;text&lt;/b&gt;." in text["text/html"]
    assert text["text/plain"] == "A & B\n\nSome <b>text</b>.\n\nshape: 1×2"
