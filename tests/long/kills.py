"""Kills and resumes the tiny experiment many times: its results must be bit-identical to those of an undisturbed run.

    python tests/long/kills.py FOLDER --kills 200 --terms 50

FOLDER has the undisturbed run, the interrupted ones and a tally; the same command continues, or prints the summary
again if everything is done.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"

import jax  # noqa: E402
import whole_runs  # noqa: E402

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints, steps  # noqa: E402
from maskrcnn_jax.checkpoints.pretrained import build_model  # noqa: E402
from maskrcnn_jax.config.loading import read_config  # noqa: E402
from maskrcnn_jax.training import metrics  # noqa: E402
from maskrcnn_jax.training.step import start  # noqa: E402

OVERRIDES = ("--run.save-every", "2", "--run.evaluate-every", "20")
STARTING = 12.0
"""Seconds of processor time until a run has started to train."""
SAID = re.compile(r"stopped and saved at step \d+")


def main() -> None:
    """Continues until there were as many interruptions as wanted; exit status 1 at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--terms", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    whole_runs.environment["JAX_COMPILATION_CACHE_DIR"] = str(folder / "compiled")
    reference = folder / "undisturbed"
    if not (folder / "expected.json").exists():
        shutil.rmtree(reference, ignore_errors=True)
        finish(reference)
        (folder / "expected.json").write_text(json.dumps(end(reference)))
    expected = json.loads((folder / "expected.json").read_text())
    disturb(folder, {"SIGKILL": given.kills, "SIGTERM": given.terms}, given.seed, expected)


def disturb(folder: Path, wanted: dict[str, int], seed: int, expected: dict[str, str]) -> None:
    """Interrupts runs until there were as many signals of each kind as wanted, and the last run has ended."""
    tally = folder / "tally.jsonl"
    events = [json.loads(line) for line in tally.read_text().splitlines()] if tally.exists() else []
    while True:
        sent = Counter(event["signal"] for event in events if "signal" in event)
        rounds = sum("same" in event for event in events)
        waiting = [name for name, count in wanted.items() for _ in range(count - sent[name])]
        run = folder / f"run-{rounds}"
        if not waiting and not run.exists():
            break
        rng = random.Random(f"{seed}/{len(events)}")
        event = interrupt(run, rng.choice(waiting), rng) if waiting else finish(run)
        if event is None:  # it has ended
            found = end(run)
            # SIGTERM adds a checkpoint, so that another of the earlier steps is kept: the others must be equal.
            shared = found.keys() & expected.keys() - {"steps"}
            different = sorted(name for name in shared if found[name] != expected[name])
            assert any(name.startswith(f"{last_of(expected)}.") for name in shared), f"{run} has another last step"
            event = {"same": not different, "different": different, "run": run.name}
            assert not different, f"{run} differs from {folder}/undisturbed: {', '.join(different)}"
            shutil.rmtree(run)
        events.append(event)
        with tally.open("a") as file:
            file.write(json.dumps(event) + "\n")
        print(f"{sum(sent.values())} of {sum(wanted.values())} signals, {rounds} runs ended as expected: {event}")
    print(json.dumps(summary(events)))


def interrupt(run: Path, name: str, rng: random.Random) -> dict | None:
    """Starts or resumes a run and sends it a signal at a random moment; None if it has ended before."""
    process = whole_runs.start(run, *OVERRIDES)
    kind = rng.choice(["start", "steps", "steps", "save", "save"])
    if kind == "start":
        cpu = rng.uniform(0, STARTING)
        wait(process, lambda: used(process.pid) > cpu)
    elif kind == "steps":
        records = count(run) + rng.randint(1, 10)
        wait(process, lambda: count(run) >= records)
        time.sleep(rng.uniform(0, 0.2))
    else:
        for _ in range(rng.randint(1, 4)):
            wait(process, lambda: not any(run.glob("checkpoints/*tmp*")))
            wait(process, lambda: any(run.glob("checkpoints/*tmp*")))
        time.sleep(rng.choice([0, 0.002, 0.01, 0.05]))
    unfinished = any(run.glob("checkpoints/*tmp*"))
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate()
    at = {"at": kind, "in_a_save": unfinished, "records": count(run), "steps": steps(run)[-1:]}
    if process.returncode == 0 and not SAID.search(errors):
        return None
    # Before the handler is installed, SIGTERM ends the process, too.
    assert process.returncode in ((-signal.SIGKILL,) if name == "SIGKILL" else (0, -signal.SIGTERM)), errors
    assert "Traceback" not in errors, errors
    return {"signal": name, "code": process.returncode, **at}


def finish(run: Path) -> None:
    """Starts or resumes a run and waits for its end."""
    process = whole_runs.start(run, *OVERRIDES)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def wait(process, condition) -> None:
    """Returns when a condition holds or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.001)


def used(pid: int) -> float:
    """Seconds of processor time of a process, which do not depend on other load."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def count(run: Path) -> int:
    """Records written so far."""
    path = run / metrics.FILE_NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def end(run: Path) -> dict[str, str]:
    """Hashes of all results of a run by name: each array of each checkpoint, metrics, detections."""
    config = read_config(run)
    like = start(build_model(config), config)[0]
    found = {"steps": str(steps(run)), "metrics": repr(metrics.read(run))}
    with Checkpoints(run, keep=len(steps(run)), best=config.run.best) as checkpoints:
        for step in steps(run):
            for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(checkpoints.restore(like, step))):
                found[f"{step}{jax.tree_util.keystr(path)}"] = hashlib.sha256(leaf.tobytes()).hexdigest()
    for name in ("metrics.json", "detections.json", "config.json"):
        content = (run / name).read_text().replace(str(run), "RUN")
        found[name] = hashlib.sha256(content.encode()).hexdigest()
    return found


def last_of(found: dict[str, str]) -> int:
    """The last step that was saved."""
    return json.loads(found["steps"])[-1]


def summary(events: list[dict]) -> dict[str, object]:
    """Counts of signals, and of runs with equal and different results."""
    signals = [event for event in events if "signal" in event]
    return {
        "signals": Counter(event["signal"] for event in signals),
        "in a save": sum(event["in_a_save"] for event in signals),
        "at": Counter(event["at"] for event in signals),
        "runs that ended bit-identical": sum(event.get("same", False) for event in events),
        "different": sum(not event["same"] for event in events if "same" in event),
    }


if __name__ == "__main__":
    main()
