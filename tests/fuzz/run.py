"""Tries inputs that are damaged at random: each must end in a result or a named error, soon and in little memory.

    python tests/fuzz/run.py --count 5000 --seed 1
    python tests/fuzz/run.py --seed 1 --input 123 --keep FOLDER

The second form tries one input again and keeps its files. Equal seeds and numbers give equal inputs.
"""

import argparse
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fuzz_target import Limits, chosen, randomness
from tqdm import tqdm

LIMITS = Limits()
WORKER = Path(__file__).with_name("worker.py")
TIMEOUT = re.compile(r"^Timeout \(", re.MULTILINE)
FRAME = re.compile(r'File ".*?/(maskrcnn_jax/\S+?)", line \d+ in (\S+)')


class Ended(NamedTuple):
    """How one input ended."""

    number: int
    kind: str
    fault: str | None
    """What is wrong, equal for equal faults; None if it ended as it must."""
    detail: str
    seconds: float = 0.0
    memory: int = 0
    """Bytes beyond what the process had."""


def fuzz(
    numbers: Sequence[int],
    seed: int,
    scratch: Path,
    targets: str = "fuzz_targets",
    workers: int = 2,
    limits: Limits = LIMITS,
) -> Iterator[Ended]:
    """Tries the inputs of these numbers in processes of their own; gives how each ended."""
    shares = [numbers[worker::workers] for worker in range(workers)]
    ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()

    def try_share(index: int) -> None:
        for one in one_after_the_other(shares[index], seed, scratch / f"{index}", targets, limits):
            ended.put(one)

    with ThreadPoolExecutor(workers) as pool:
        tried = [pool.submit(try_share, index) for index in range(workers)]
        for _ in numbers:
            while ended.empty():
                if failed := [future for future in tried if future.done() and future.exception()]:
                    failed[0].result()
                time.sleep(0.01)
            yield ended.get()


def one_after_the_other(
    numbers: Sequence[int], seed: int, scratch: Path, targets: str, limits: Limits
) -> Iterator[Ended]:
    """Tries inputs in a process; if it dies of one, the next process begins behind that."""
    waiting = list(numbers)
    while waiting:
        tried = 0
        for ended in until_it_dies(waiting, seed, scratch, targets, limits):
            tried += 1
            yield ended
        if not tried:
            raise RuntimeError(f"input {waiting[0]} was not made: {(scratch / 'errors.txt').read_text()[-3000:]}")
        waiting = waiting[tried:]


def until_it_dies(numbers: Sequence[int], seed: int, scratch: Path, targets: str, limits: Limits) -> Iterator[Ended]:
    """What one process finds; the last input may be the one that ended it."""
    scratch.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, WORKER, targets, seed, scratch, limits.seconds, limits.memory, *numbers]
    with (scratch / "errors.txt").open("w+", errors="replace") as errors:
        with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            begun: dict | None = None
            for line in process.stdout:
                said = json.loads(line)
                if "begins" in said:
                    begun = said
                else:
                    assert begun is not None
                    yield Ended(
                        said["ended"], begun["kind"], said["fault"], said["detail"], said["seconds"], said["memory"]
                    )
                    begun = None
        code = process.returncode
        if begun is not None:
            errors.seek(0)
            yield died(begun, code, errors.read())


def died(begun: dict, code: int, errors: str) -> Ended:
    """The verdict on an input that ended its process."""
    inside = FRAME.search(errors)
    where = f"{Path(inside[1]).name}:{inside[2]}" if inside else begun["kind"]
    if TIMEOUT.search(errors):
        fault = f"hangs in {where}"
    elif code < 0:
        fault = f"{signal.Signals(-code).name} in {where}"
    else:
        fault = f"ends the process with status {code} in {where}"
    return Ended(begun["begins"], begun["kind"], fault, errors[-6000:])


def report(found: Iterable[Ended], seed: int) -> int:
    """Prints the faults by kind, each with the command that shows it again; returns how many there are."""
    faults: dict[str, list[Ended]] = {}
    kinds: dict[str, list[Ended]] = {}
    for ended in tqdm(found, "trying", unit=" inputs", disable=None):
        kinds.setdefault(ended.kind, []).append(ended)
        if ended.fault is not None:
            faults.setdefault(ended.fault, []).append(ended)
    for kind, all_of_it in sorted(kinds.items()):
        read = sum(ended.detail == "read" for ended in all_of_it)
        wrong = sum(ended.fault is not None for ended in all_of_it)
        print(f"{kind}: {len(all_of_it)} inputs, {read} read, {len(all_of_it) - read - wrong} refused, {wrong} faults")
    for fault, its in sorted(faults.items(), key=lambda item: -len(item[1])):
        print(f"\n{len(its)}× {fault}\n    python tests/fuzz/run.py --seed {seed} --input {its[0].number}")
        print("    " + its[0].detail.strip()[-1500:].replace("\n", "\n    "))
    wrong = sum(map(len, faults.values()))
    everything = [ended for its in kinds.values() for ended in its]
    slowest, largest = max(everything, key=lambda one: one.seconds), max(everything, key=lambda one: one.memory)
    print(
        f"\n{len(everything)} inputs, {wrong} faults of {len(faults)} kinds; at most {slowest.seconds:.1f} s "
        f"(input {slowest.number}) and {largest.memory / 2**20:.0f} MiB (input {largest.number})"
    )
    return wrong


def main() -> None:
    """Tries what the arguments say; exit status 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input", type=int, help="only the input of this number")
    parser.add_argument("--keep", type=Path, help="folder that gets the files of --input")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    given = parser.parse_args()
    numbers = range(given.count) if given.input is None else [given.input]
    if given.keep is not None and given.input is not None:
        write(given.input, given.seed, given.keep)
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(bool(report(fuzz(numbers, given.seed, Path(scratch), workers=given.workers), given.seed)))


def write(number: int, seed: int, folder: Path) -> None:
    """Writes an input to look at."""
    import worker  # noqa: F401  finds the modules of the tests
    from fuzz_targets import TARGETS

    folder.mkdir(parents=True)
    target = chosen(TARGETS, number)
    target.make(randomness(seed, number), folder)
    print(f"{target.name} in {folder}")


if __name__ == "__main__":
    main()
