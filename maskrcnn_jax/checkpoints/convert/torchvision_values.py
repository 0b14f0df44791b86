"""torchvision: what is assumed of a model because its state dict does not hold it."""

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
"""Of the frozen batch norm of torchvision's published v1 detectors (`overwrite_eps`), and of all others."""

SMALL_VARIANCE = 1e-3
"""Below it the two differ by more than half a percent of the norm's output."""


def read(arrays: Mapping[str, Any], config: ModelConfig, path: Path | None) -> Reading:
    """The model unchanged, and what is assumed of it.

    The epsilon of frozen batch norms is in no file. It is assumed by the spelling of the names, as the published files
    have the older one; where all variances are much larger, it does not matter and is not mentioned. A plain ResNet may
    have been trained with another input normalisation than ImageNet's.

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
            f"with 1e-05, and the file does not hold it, so set {other} if that is wrong"
        )
    if is_plain(arrays):
        assumed["input.mean"] = assumed["input.std"] = assumed["input.bgr"] = (
            "torchvision's own ResNets are trained so, and a backbone's file does not hold its input normalisation"
        )
    return Reading(config, assumed=assumed)


def _has_small_variances(arrays: Mapping[str, Any]) -> bool:
    names = [name for name in arrays if name.startswith("backbone.body.") and name.endswith(".running_var")]
    return any(np.min(as_numbers(arrays[name], name), initial=np.inf) < SMALL_VARIANCE for name in names)
