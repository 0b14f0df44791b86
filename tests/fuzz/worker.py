"""Tries inputs one after the other, in a process that may die of one: run.py starts it.

    python tests/fuzz/worker.py TARGETS SEED SCRATCH SECONDS BYTES NUMBER [NUMBER …]

Writes two lines of JSON per input to standard output: the number before it begins, the verdict when it ended.
"""

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "checkpoints")]

os.environ |= {"JAX_PLATFORMS": "cpu", "TQDM_DISABLE": "1", "XLA_FLAGS": "--xla_backend_optimization_level=0"}

from errors_with_names import complaint, is_named  # noqa: E402
from fuzz_target import PATIENCE, FuzzTarget, Limits, chosen, randomness  # noqa: E402


def main(module: str, seed: int, scratch: Path, limits: Limits, numbers: list[int]) -> None:
    """Tries the inputs of these numbers."""
    trace = os.fdopen(os.dup(2), "w")  # where run.py looks for what a dying process was at
    faulthandler.enable(trace)
    warnings.simplefilter("ignore")
    targets: tuple[FuzzTarget, ...] = importlib.import_module(module).TARGETS
    # The address space ends what would else take the whole machine; libraries reserve more of it than they use.
    space = memory("VmSize") + 4 * limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))
    verdicts = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the code under test prints
    os.chdir(scratch)
    for number in numbers:
        target = chosen(targets, number)
        folder = scratch / f"input-{number}"
        discard(folder)
        folder.mkdir(parents=True)
        target.make(randomness(seed, number), folder)
        gc.freeze()  # what lives so far is not searched again
        verdicts.write(json.dumps({"begins": number, "kind": target.name}) + "\n")
        began, before = time.process_time(), memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew
        with printed() as output:
            faulthandler.dump_traceback_later(PATIENCE * limits.seconds, exit=True, file=trace)
            fault, detail = outcome(target, folder)
            gc.collect()  # errors of tasks that were not awaited are printed when they are freed
            faulthandler.cancel_dump_traceback_later()
        taken, seconds = memory("VmHWM") - before, time.process_time() - began
        said = "".join(output)
        if fault is None and "Traceback" in said:
            fault, detail = "prints a traceback", said[said.index("Traceback") :][-2000:]
        if fault is None and taken > limits.memory:
            fault, detail = f"memory ({target.name})", f"takes {taken / 2**20:.0f} MiB; {detail}"
        if fault is None and seconds > limits.seconds:
            fault, detail = f"time ({target.name})", f"takes {seconds:.0f} s; {detail}"
        verdict = {"ended": number, "fault": fault, "detail": detail, "seconds": seconds, "memory": taken}
        verdicts.write(json.dumps(verdict) + "\n")
        discard(folder)


def outcome(target: FuzzTarget, folder: Path) -> tuple[str | None, str]:
    """The fault with which an input ended, None without a fault, and the details."""
    try:
        target.read(folder)
    except SystemExit as ended:  # an error of the command line itself
        return None, f"ended with {str(ended.code)[:300]!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if not is_named(error):
            return origin(error), "".join(traceback.format_exception(error))[-3000:]
        if found := complaint(error, folder):
            return f"message: {found.partition(':')[0]} ({origin(error)})", f"{type(error).__name__}: {error}"[:3000]
        return None, f"{type(error).__name__}: {error}"[:1000]
    return None, "read"


def origin(error: BaseException) -> str:
    """The type of an error and the last function of the package that it went through: equal for equal faults."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if f"{os.sep}maskrcnn_jax{os.sep}" in frame.filename] or frames
    last = inside[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.name}"


def memory(field: str) -> int:
    """Bytes, by their name in /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@contextlib.contextmanager
def printed() -> Iterator[list[str]]:
    """A list that holds, after the block, what the process and its threads wrote to their terminal in it."""
    said: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        sys.stderr.flush()
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        try:
            yield said
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept, 1)
            os.dup2(kept, 2)
            os.close(kept)
            output.seek(0)
            said.append(output.read())


def discard(folder: Path) -> None:
    """Removes an input, also one that removes its own permissions."""
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        module, seed, scratch, seconds, memory_limit, *listed = sys.argv[1:]
        main(
            module,
            int(seed),
            Path(scratch),
            Limits(float(seconds), int(memory_limit)),
            [int(number) for number in listed],
        )
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # threads of libraries that wait for something are not waited for
