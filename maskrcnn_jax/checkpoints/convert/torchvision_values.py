"""torchvision: what the values of a state dict leave open."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.checkpoints.convert.parts import resnet
from maskrcnn_jax.checkpoints.convert.rules import as_numbers
from maskrcnn_jax.checkpoints.convert.torchvision_model import is_older, is_plain
from maskrcnn_jax.checkpoints.convert.values import Reading
from maskrcnn_jax.config import ModelConfig

PUBLISHED_EPS, DEFAULT_EPS = 0.0, 1e-5
"""Of the frozen batch norm of torchvision's published v1 detectors (`overwrite_eps`), and of everybody else's."""

SMALL_VARIANCE = 1e-3
"""Below it the two differ by more than half a percent of the norm's output."""


def read(arrays: Mapping[str, Any], config: ModelConfig, path: Path | None) -> Reading:
    """The model as it is, and what is assumed of it.

    The epsilon of frozen batch norms is in no file. It is assumed by the spelling of the names, as the published files
    have the older one; where no variance is near it, it does not matter and nothing is said. A plain ResNet may have
    been trained on other pixels than ImageNet's.

    Args:
        arrays: of the network, by name.
        config: the model that they are recognised as.
        path: of the file; nothing beside it is read.
    """
    assumed = {}
    if resnet(config).norm == "frozen_batch" and not is_plain(arrays) and _has_small_variances(arrays):
        spelling = "older, as in torchvision's published v1 files" if is_older(arrays) else "newer"
        other = DEFAULT_EPS if resnet(config).norm_eps == PUBLISHED_EPS else PUBLISHED_EPS
        assumed["backbone.norm_eps"] = (
            f"the names have the {spelling} spelling; the published v1 detectors were trained with 0, other models "
            f"with 1e-05, and no file says which, so set {other} if these are others"
        )
    if is_plain(arrays):
        assumed["input.mean"] = assumed["input.std"] = assumed["input.bgr"] = (
            "torchvision's own ResNets take RGB pixels so, and no file of a backbone says what pixels it was trained on"
        )
    return Reading(config, assumed=assumed)


def _has_small_variances(arrays: Mapping[str, Any]) -> bool:
    names = [name for name in arrays if name.startswith("backbone.body.") and name.endswith(".running_var")]
    return any(np.min(as_numbers(arrays[name], name), initial=np.inf) < SMALL_VARIANCE for name in names)
