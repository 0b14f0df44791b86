"""Writes `docs/benchmarks.md` from the last results.

python benchmarks/page.py
"""

import json
from itertools import takewhile
from pathlib import Path

from pair import RESULTS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
ORDER = (
    "inference",
    "training",
    "roi_align",
    "nms",
    "pipeline",
    "evaluation",
    "startup",
    "first_step",
    "growth",
    "accelerator",
)
WIDEST = 8
"""Columns of figures; where there are more, they are rows."""
HEAD = """# Benchmarks

The first seven do the same work with this code and with torchvision: the same weights, images and boxes. The two are
timed in turn, so that whatever else the machine does hits both. A ratio below 1 means that ours is faster. The others
say how long a start takes, how cost grows, and what a GPU does.

    MASKRCNN_COCO_MINI=FOLDER make bench    # all but the accelerator's; installs PyTorch in an environment of its own
    make bench ARGS=inference               # one of them
    python benchmarks/accelerator.py        # on a GPU or TPU, in an environment for it
    python benchmarks/page.py               # this page, from `benchmarks/results/`

`ratio` is that of the median times. `ratio of the best` compares the fastest rounds, `ratio of work` the processor time
of all cores: neighbours on a shared machine touch these two least. `load` is the number of processes that wanted a core
when the benchmark ended, ours among them: where it is larger than the number of cores, seconds say little and ratios
count. Times are in seconds. Weights are random and made lively (`tests/parity/lively.py`), so that there are 100
detections.
"""


def section(name: str) -> str:
    """One benchmark's heading, what its docstring says before how to run it, its figures, and where they were taken."""
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    purpose, *more = takewhile(lambda part: "bench" not in part, text.split('"""')[1].split("\n\n"))
    rows = content["rows"]
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    grid = [["", *columns]]
    grid += [
        [row, *(number(figures[key]) if key in figures else "" for key in columns)] for row, figures in rows.items()
    ]
    if len(columns) > WIDEST:
        grid = [list(column) for column in zip(*grid, strict=True)]
    lines = [f"| {' | '.join(line)} |" for line in grid]
    lines.insert(1, "|---" * len(grid[0]) + "|")
    machine = content["machine"]
    device = f"{machine['device']}, " if machine.get("device") else ""
    cores = f"{machine['cores']} cores, load {machine['load']:.0f}"
    where = f"{device}{machine['processor']}, {cores}, Python {machine['python']}"
    versions = ", ".join(f"{package} {number}" for package, number in content["versions"].items())
    figure = [f"![{purpose}]({name}.png)"] if (DOCS / f"{name}.png").exists() else []
    measured = f"{content['date']}, {where}; {versions}."
    return "\n\n".join([f"## {name}", purpose, *more, "\n".join(lines), *figure, measured]) + "\n"


def number(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def main() -> None:
    """Writes the sections of the benchmarks that have results."""
    sections = [section(name) for name in ORDER if (RESULTS / f"{name}.json").exists()]
    PAGE.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
