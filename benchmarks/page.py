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
"""Largest number of columns; a table with more is transposed."""
HEAD = """# Benchmarks

The first seven compare this project (`ours`) with torchvision and pycocotools (`theirs`) on the same weights, images
and boxes. The two are timed in turn, so that other load on the machine affects both. A ratio below 1 means that this
project is faster. The others measure compilation, how cost grows, and a training step on a GPU.

    MASKRCNN_COCO_MINI=FOLDER make bench    # all but the accelerator's; installs PyTorch in an environment of its own
    make bench ARGS=inference               # one of them
    python benchmarks/accelerator.py        # on a GPU or TPU, in an environment for it
    python benchmarks/page.py               # this page, from `benchmarks/results/`

Times are in seconds. `ratio` is that of the median times, `ratio of the best` that of the fastest rounds, `ratio of
work` that of the processor time of all cores; other load on a shared machine affects the last two least. `load` is the
load average at the end of the benchmark, the benchmark included: where it exceeds the number of cores, compare ratios,
not seconds. Weights are random and calibrated (`tests/parity/lively.py`) so that there are 100 detections.
"""


def section(name: str) -> str:
    """One benchmark: its heading, its docstring up to the command, its table, and the machine it was measured on."""
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    purpose, *more = takewhile(lambda part: "bench" not in part, text.split('"""')[1].split("\n\n"))
    results = content["results"]
    columns = list(dict.fromkeys(key for values in results.values() for key in values))
    grid = [["", *columns]]
    grid += [
        [label, *(number(values[key]) if key in values else "" for key in columns)] for label, values in results.items()
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
    """Three significant digits, and all digits before the point."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def main() -> None:
    """Writes the sections of the benchmarks that have results."""
    sections = [section(name) for name in ORDER if (RESULTS / f"{name}.json").exists()]
    PAGE.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
