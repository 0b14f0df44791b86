"""The test bench: four fake CPU devices, no implicit broadcasting of ranks, reproducible random examples."""

import os

# Read when JAX is imported and when its first device is asked for; subprocesses inherit both.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4".strip()

import hypothesis
import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("suite")

REAL_IMAGES = "MASKRCNN_COCO_MINI"
collect_ignore = [] if REAL_IMAGES in os.environ else ["real"]


def pytest_report_header() -> str:
    """Says whether the tests on real images are part of the run."""
    return f"real images: {os.environ.get(REAL_IMAGES, f'none; tests/real needs {REAL_IMAGES}=FOLDER')}"
