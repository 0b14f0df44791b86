"""The summary of the benchmarks' times, and that the page shows the last results."""

import sys
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def pair(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import pair

    yield pair
    del sys.modules["pair"]


def test_summary_of_known_times(pair):
    # Medians 2 and 4, best 1 and 4, work 3 and 6.
    times = pair.Times(ours=[(1, 3), (2, 3), (9, 3)], theirs=[(4, 6), (4, 5), (5, 7)])
    assert times.summary() == {
        "ours": 2,
        "theirs": 4,
        "ratio": 0.5,
        "ratio of the best": 0.25,
        "ratio of work": 0.5,
        "rounds": 3,
    }


def test_rounds_alternate_their_order(pair):
    calls = []
    times = pair.alternate(lambda: calls.append("ours"), lambda: calls.append("theirs"), rounds=2)
    assert calls == ["ours", "theirs", "ours", "theirs", "theirs", "ours"]  # the first two do not count
    assert [len(side) for side in times] == [2, 2]


def test_sleeping_takes_wall_time_and_no_processor_time(pair):
    wall, work = pair.seconds(lambda: time.sleep(0.05))
    assert wall >= 0.05 > work


def test_page_shows_the_last_results(pair, monkeypatch, tmp_path):
    page = (FOLDER.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    import page as maker

    monkeypatch.setattr(maker, "PAGE", tmp_path / "benchmarks.md")
    maker.main()
    assert maker.PAGE.read_text(encoding="utf-8") == page, "run python benchmarks/page.py"
    del sys.modules["page"]
