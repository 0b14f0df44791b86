"""A fork: an additional Dice loss, and a focal loss in place of the mask loss."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from maskrcnn_jax.config import Mask, Phase
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.nn.heads.mask import own_class
from maskrcnn_jax.training.losses import masked_mean


@dataclass(frozen=True)
class Dice(Mask):
    """1 − twice the overlap over the sum of areas of each foreground RoI's mask (Milletari et al. 2016)."""

    smooth: float = 1.0
    """Added to numerator and denominator."""

    name: ClassVar = "dice"

    def __call__(self, model, trace, batch, key):
        rois, target = trace.heads["mask"].rois, self.targets(trace, batch)
        mask = jax.nn.sigmoid(own_class(trace.heads["mask"].output, rois.labels))
        overlap = jnp.sum(mask * target, axis=(-2, -1))
        area = jnp.sum(mask, axis=(-2, -1)) + jnp.sum(target, axis=(-2, -1))
        foreground = rois.valid & (rois.labels < model.config.num_classes)
        loss = 1 - (2 * overlap + self.smooth) / (area + self.smooth)
        return masked_mean(loss, foreground, jnp.sum(foreground))


@dataclass(frozen=True)
class FocalMask(Mask):
    """Focal loss (Lin et al. 2017) of each foreground RoI's mask."""

    gamma: float = 2.0

    def __call__(self, model, trace, batch, key):
        rois, target = trace.heads["mask"].rois, self.targets(trace, batch)
        logits = own_class(trace.heads["mask"].output, rois.labels)
        loss = optax.sigmoid_focal_loss(logits, target, gamma=self.gamma).mean(axis=(-2, -1))
        foreground = rois.valid & (rois.labels < model.config.num_classes)
        return masked_mean(loss, foreground, jnp.sum(foreground))


base = load_config(Path("tests/configs/tiny.py"))
others = tuple(loss for loss in base.losses if loss.name != "mask")
config = replace(
    base,
    losses=(*others, FocalMask(), Dice(weight=0.5)),
    optimizer=replace(base.optimizer, phases=(Phase("5+", until=10), Phase("all"))),
)
