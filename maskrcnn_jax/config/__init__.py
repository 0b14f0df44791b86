"""The configuration of an experiment: frozen dataclasses, most of which stand beside what they configure.

`loading.py` loads configurations, `validation.py` checks them, `serialization.py` writes them as JSON. Every field
in which the supported systems differ is a value here, so that each system is a configuration and a fork can mix them.
Instances are hashable, so they may be static arguments of a jitted function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tyro

from maskrcnn_jax.config.foreign import ForeignFunction
from maskrcnn_jax.config.run import OptimizerConfig, Phase, RunConfig
from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.data.prepare.coco_folder import CocoFolder
from maskrcnn_jax.data.sources.prepared import CocoSource
from maskrcnn_jax.data.sources.shapes import Kind, ShapesSource
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.data.sources.tfds import TFDSSource
from maskrcnn_jax.data.transforms.albumentations import Albumentations
from maskrcnn_jax.data.transforms.color_jitter import ColorJitter
from maskrcnn_jax.data.transforms.copy_paste import CopyPaste
from maskrcnn_jax.data.transforms.placing import Flip, RandomCrop, Resize, Rotate90, ScaleJitter
from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.extension import Backbone, Evaluator, Head, Loss, Neck, Value
from maskrcnn_jax.masks.paste import PasteRule
from maskrcnn_jax.messages.config_error import ConfigError, require
from maskrcnn_jax.model.mask_rcnn import ModelConfig
from maskrcnn_jax.model.sampler import SamplingConfig
from maskrcnn_jax.model.stages import DetectConfig
from maskrcnn_jax.nn.backbones.resnet import ResNet
from maskrcnn_jax.nn.heads.box import BoxHead
from maskrcnn_jax.nn.heads.mask import MaskHead
from maskrcnn_jax.nn.heads.rpn import RPN, ProposalConfig
from maskrcnn_jax.nn.necks.fpn import FPN
from maskrcnn_jax.nn.norm import Norm
from maskrcnn_jax.ops.anchors import AnchorConfig
from maskrcnn_jax.ops.images import InputConfig, Interpolation
from maskrcnn_jax.ops.matching import MatchConfig
from maskrcnn_jax.ops.roi_align import PoolConfig
from maskrcnn_jax.training.losses import LOSSES, BoxRegression, Classification, Mask, RPNBox, RPNObjectness

__all__ = [
    "FPN",
    "LOSSES",
    "RPN",
    "Albumentations",
    "AnchorConfig",
    "Backbone",
    "BoxHead",
    "BoxRegression",
    "Classification",
    "CocoFolder",
    "CocoSource",
    "ColorJitter",
    "Config",
    "ConfigError",
    "CopyPaste",
    "DataConfig",
    "DetectConfig",
    "Evaluator",
    "Flip",
    "ForeignFunction",
    "Head",
    "InputConfig",
    "Interpolation",
    "Kind",
    "Loss",
    "Mask",
    "MaskHead",
    "MatchConfig",
    "ModelConfig",
    "Neck",
    "Norm",
    "OptimizerConfig",
    "PasteRule",
    "Phase",
    "PoolConfig",
    "ProposalConfig",
    "RPNBox",
    "RPNObjectness",
    "RandomCrop",
    "ResNet",
    "Resize",
    "Rotate90",
    "RunConfig",
    "SamplingConfig",
    "ScaleJitter",
    "ShapesSource",
    "Source",
    "TFDSSource",
    "Transform",
    "Value",
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
    sampling: SamplingConfig = SamplingConfig()
    losses: tuple[Loss, ...] = LOSSES
    """Training minimises their weighted sum."""
    evaluators: tuple[Evaluator, ...] = ()
    """Further metrics, beside COCO's `bbox/…` and `segm/…`."""
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    run: RunConfig = RunConfig()
    customize: tyro.conf.Suppress[Callable[[Any], Any]] = field(default=unchanged)
    """Called with the built model, returns the model to train: an escape hatch where a value does not suffice."""
