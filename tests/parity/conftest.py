"""Setup of the comparisons with torchvision: both systems in one process, on real images.

`make parity` leaves out the conftest of the other tests, whose hasty compilation and four devices serve small networks.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
# Read when torch is imported. Without it PyTorch's idle threads spin on the cores that the other system needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes, which have a core each
    torch.set_num_threads(1)
jax.config.update("jax_numpy_rank_promotion", "raise")

COCO_MINI = Path(os.environ["MASKRCNN_COCO_MINI"])


def read_image(number: int) -> np.ndarray:
    """RGB `[h, w, 3]` uint8 of the image with this id."""
    (path,) = COCO_MINI.glob(f"*2017/{number:012}.jpg")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def to_torch(image: np.ndarray) -> torch.Tensor:
    """`[3, h, w]` in `[0, 1]`, as torchvision takes it."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="session")
def image() -> Callable[[int], np.ndarray]:
    return read_image
