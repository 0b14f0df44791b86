"""torchvision's Mask R-CNN and this project's with the same weights."""

import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.append(str(Path(__file__).parents[1] / "tests" / "parity"))

import lively
import numpy as np
import torch
from our_trace import same_model

from maskrcnn_jax.model.mask_rcnn import MaskRCNN


def to_torch(image: np.ndarray) -> torch.Tensor:
    """`[3, h, w]` in `[0, 1]`, as torchvision takes it."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


def models(image: np.ndarray, background: float) -> tuple[torch.nn.Module, MaskRCNN]:
    """torchvision's `maskrcnn_resnet50_fpn` and this project's, calibrated on an image, which they do not resize.

    Args:
        image: `[h, w, 3]` uint8.
        background: see `lively`; the lower, the more objects are found.
    """
    height, width = image.shape[:2]
    make = partial(lively.v1, min_size=min(height, width), max_size=max(height, width))
    theirs = lively.lively(make, [to_torch(image)], background)
    return theirs, same_model(theirs)
