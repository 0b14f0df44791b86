"""torchvision's Mask R-CNN and ours with the same weights, and pictures for them."""

import os
import sys
from functools import partial
from pathlib import Path

# Read when torch is imported. Its threads else wait for work by spinning, on the cores that the other system needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.append(str(Path(__file__).parents[1] / "tests" / "parity"))

import cv2
import lively
import numpy as np
import torch
from our_trace import same_model

from maskrcnn_jax.model import MaskRCNN


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Noise of all sizes, `[height, width, 3]` uint8: it has edges and areas, and no two places are alike."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cells in (4, 8, 16, 32, 64, 128):
        noise = rng.normal(size=(cells, cells * width // height, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(127 + 40 * total, 0, 255).astype(np.uint8)


def random_boxes(rng: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Boxes of all sizes inside a picture, `[count, 4]` float32; every doubling of the side is as frequent."""
    side = np.exp2(rng.uniform(4, np.log2(min(shape)), (count, 1))) * np.exp2(rng.uniform(-0.5, 0.5, (count, 2)))
    side = np.minimum(side, np.array(shape[::-1]) - 1)
    corner = rng.uniform(size=(count, 2)) * (np.array(shape[::-1]) - side)
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


def clustered_boxes(rng: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Several boxes around each of a fifth as many places, as networks give them."""
    centres = random_boxes(rng, count // 5, shape)[rng.integers(0, count // 5, count)]
    sides = np.tile(centres[:, 2:] - centres[:, :2], 2)
    return (centres + rng.normal(0, 0.08, centres.shape) * sides).astype(np.float32)


def to_torch(image: np.ndarray) -> torch.Tensor:
    """`[3, h, w]` in `[0, 1]`, as torchvision takes it."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


def models(image: np.ndarray, background: float) -> tuple[torch.nn.Module, MaskRCNN]:
    """torchvision's `maskrcnn_resnet50_fpn` and ours, set by a picture, which they do not resize.

    Args:
        image: `[h, w, 3]` uint8.
        background: see `lively`; the lower, the more objects are found.
    """
    height, width = image.shape[:2]
    make = partial(lively.v1, min_size=min(height, width), max_size=max(height, width))
    theirs = lively.lively(make, [to_torch(image)], background)
    return theirs, same_model(theirs)
