"""Complete runs of the tiny experiment, in separate processes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = Path(__file__).parent / "configs" / "tiny.py"

# Processes share a compilation cache, so that restarts are quick.
environment = os.environ | {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "default",
}


def start(folder: Path, *overrides: str) -> subprocess.Popen:
    """Starts training in a run folder."""
    command = [sys.executable, "train.py", str(TINY), "--run.folder", str(folder), *overrides]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def train(folder: Path, *overrides: str) -> subprocess.CompletedProcess:
    """Trains to the end and returns the exit status and what was printed."""
    process = start(folder, *overrides)
    stdout, stderr = process.communicate(timeout=500)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
