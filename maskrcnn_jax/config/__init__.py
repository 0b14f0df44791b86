"""The numbers of an experiment: frozen dataclasses. `loading.py` loads them, `validation.py` checks them.

Every field on which the known systems differ is a value here, so that each system is a configuration and a fork can
mix them. Instances are hashable, so they may be static arguments of a jitted function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tyro

from maskrcnn_jax.config.data import CocoSource, DataConfig, Kind, ShapesSource, Source
from maskrcnn_jax.config.error import ConfigError, require
from maskrcnn_jax.config.foreign import ForeignFunction
from maskrcnn_jax.config.loss import LossConfig, MatchConfig
from maskrcnn_jax.config.model import (
    AnchorConfig,
    BackboneConfig,
    BoxHeadConfig,
    DetectConfig,
    FPNConfig,
    InputConfig,
    Interpolation,
    MaskHeadConfig,
    ModelConfig,
    Norm,
    PasteRule,
    PoolConfig,
    ProposalConfig,
    RPNConfig,
)
from maskrcnn_jax.config.run import OptimizerConfig, Phase, RunConfig

__all__ = [
    "AnchorConfig",
    "BackboneConfig",
    "BoxHeadConfig",
    "CocoSource",
    "Config",
    "ConfigError",
    "DataConfig",
    "DetectConfig",
    "FPNConfig",
    "ForeignFunction",
    "InputConfig",
    "Interpolation",
    "Kind",
    "LossConfig",
    "MaskHeadConfig",
    "MatchConfig",
    "ModelConfig",
    "Norm",
    "OptimizerConfig",
    "PasteRule",
    "Phase",
    "PoolConfig",
    "ProposalConfig",
    "RPNConfig",
    "RunConfig",
    "ShapesSource",
    "Source",
    "require",
    "unchanged",
]


def unchanged(model: Any) -> Any:
    """The model as configured."""
    return model


@dataclass(frozen=True)
class Config:
    """One experiment."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    run: RunConfig = RunConfig()
    customize: tyro.conf.Suppress[Callable[[Any], Any]] = field(default=unchanged)
    """Called with the built model, returns the model to train: the place where a fork replaces a stage."""
