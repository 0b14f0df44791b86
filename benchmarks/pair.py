"""Two implementations of the same work, timed in turn, so that other load on the machine affects both."""

import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "flax", "numpy", "grain", "faster-coco-eval", "torch", "torchvision", "pycocotools")


class Times(NamedTuple):
    """`(seconds, seconds of all cores together)` of each round."""

    ours: list[tuple[float, float]]
    theirs: list[tuple[float, float]]

    def summary(self) -> dict[str, float]:
        """Medians, their ratio, the ratio of the best rounds, and that of the processor time of all cores.

        Other load on the machine affects the last two least.
        """
        (ours, our_work), (theirs, their_work) = (zip(*side, strict=True) for side in self)
        medians = statistics.median(ours), statistics.median(theirs)
        return {
            "ours": medians[0],
            "theirs": medians[1],
            "ratio": medians[0] / medians[1],
            "ratio of the best": min(ours) / min(theirs),
            "ratio of work": statistics.median(our_work) / statistics.median(their_work),
            "rounds": len(ours),
        }


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock time of one call, and processor time of all cores."""
    start, work = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - work


def alternate(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Times:
    """Times both in turn, in alternating order; a first call of each does not count."""
    ours(), theirs()
    times = Times([], [])
    for i in range(rounds):
        pair = ((times.ours, ours), (times.theirs, theirs))
        for kept, action in pair if i % 2 == 0 else reversed(pair):
            kept.append(seconds(action))
    return times


def report(name: str, results: Mapping[str, Mapping[str, float]], device: str | None = None) -> None:
    """Prints a benchmark's results, and writes them with machine and versions to `results/NAME.json`.

    Args:
        name: of the benchmark.
        results: values by column, by label.
        device: what they were measured on, if not the processor.
    """
    for label, values in results.items():
        print(f"{label}: " + ", ".join(f"{key} {value:.4g}" for key, value in values.items()), flush=True)
    content = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "processor": _processor(),
            "device": device,
            "cores": len(os.sched_getaffinity(0)),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
        },
        "versions": dict(_versions()),
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _versions() -> Iterator[tuple[str, str]]:
    """Versions of the packages that are installed."""
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield package, version(package)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
