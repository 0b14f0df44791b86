"""Trains 3,000 steps with 300 saves and monitors the process: descriptors, threads and memory may not grow.

    python tests/long/saves.py FOLDER --steps 3000 --every 10

FOLDER is the run folder; the same command resumes a stopped run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]
os.environ["JAX_PLATFORMS"] = "cpu"

import whole_runs  # noqa: E402

from maskrcnn_jax.checkpoints.checkpoint import steps  # noqa: E402

MOST_GROWTH = 64 * 2**20
"""Bytes of resident memory from the first third to the last: 1,000 steps that leave 64 kB each."""


def main() -> None:
    """Prints the resources of the process at each tenth of the steps; exit status 1 if they grow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=10, help="steps between saves")
    given = parser.parse_args()
    numbers = ("--run.steps", str(given.steps), "--run.save-every", str(given.every), "--run.log-every", "100")
    command = [sys.executable, "train.py", str(whole_runs.TINY), "--run.folder", str(given.folder.absolute()), *numbers]
    given.folder.mkdir(parents=True, exist_ok=True)
    with (given.folder.parent / f"{given.folder.name}.log").open("a") as log:
        process = subprocess.Popen(command, cwd=whole_runs.ROOT, env=whole_runs.environment, stdout=log, stderr=log)
        seen = watch(process, given.folder)
    assert process.returncode == 0, f"train.py ended with status {process.returncode}; see {log.name}"
    sys.exit(report(seen, given.steps))


def watch(process: subprocess.Popen, folder: Path) -> list[dict[str, int]]:
    """Resources of the process after each save that is seen."""
    seen: list[dict[str, int]] = []
    while process.poll() is None:
        step = max(steps(folder), default=0)
        if step and (not seen or step > seen[-1]["step"]):
            try:
                seen.append({"step": step, **held(process.pid)})
            except (FileNotFoundError, ProcessLookupError):
                break
        time.sleep(0.05)
    process.wait()
    return seen


def held(pid: int) -> dict[str, int]:
    """Descriptors, threads and resident bytes of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
        "memory": int(status["VmRSS"].split()[0]) * 1024,
    }


def report(seen: list[dict[str, int]], total: int) -> int:
    """Prints the medians of each tenth; 1 if the last third needs more than the second."""
    names = ("descriptors", "threads", "memory")
    for tenth in range(10):
        part = [one for one in seen if tenth <= 10 * one["step"] / total < tenth + 1]
        if part:
            middle = {name: statistics.median(one[name] for one in part) for name in names}
            print(json.dumps({"steps": f"{part[0]['step']}-{part[-1]['step']}", "saves seen": len(part), **middle}))
    thirds = [[one for one in seen if third <= 3 * one["step"] / total < third + 1] for third in (1, 2)]
    growth = {
        name: (lambda a, b: b - a)(*(statistics.median(one[name] for one in part) for part in thirds)) for name in names
    }
    print(json.dumps({"growth": growth}))
    return int(growth["descriptors"] > 2 or growth["threads"] > 2 or growth["memory"] > MOST_GROWTH)


if __name__ == "__main__":
    main()
