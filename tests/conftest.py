"""Test setup: four fake CPU devices, no implicit rank promotion, reproducible random examples."""

import os

# Read when JAX is imported and when it initialises its devices; subprocesses inherit both. Compilation takes far longer
# than execution here, so optimisation is off.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=4",
        "--xla_backend_optimization_level=0",
    ]
)
os.environ["JAX_NUM_PROCESSES"] = "1"  # also under SLURM or MPI each test is a single process

import fcntl
from pathlib import Path

import hypothesis
import jax
import pytest
import whole_runs

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_rank_promotion", "raise")
# No compilation cache in this process.
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_compilation_cache_dir", os.devnull)

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("suite")

REAL_IMAGES = "MASKRCNN_COCO_MINI"
collect_ignore = ["parity"] if REAL_IMAGES in os.environ else ["parity", "real"]
"""Tests that need PyTorch are collected only by `make parity`."""


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny experiment, trained without interruption; read-only."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the workers' folders have a common parent
        shared = shared.parent
    whole_runs.environment["JAX_COMPILATION_CACHE_DIR"] = str(shared / "compiled")
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / "finished"
        if not (folder / "detections.png").exists():
            ended = whole_runs.train(folder)
            assert ended.returncode == 0, ended.stderr
            (folder / "output.txt").write_text(ended.stdout)
    return folder


def pytest_report_header() -> str:
    """Reports whether the tests on real images are part of the run."""
    return f"real images: {os.environ.get(REAL_IMAGES, f'none; tests/real needs {REAL_IMAGES}=FOLDER')}"
