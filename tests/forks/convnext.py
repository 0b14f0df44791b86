"""A fork: ConvNeXt (Liu et al. 2022) as the backbone, with stochastic depth."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import jax
from flax import nnx

from maskrcnn_jax.config import Backbone, Phase
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.messages.config_error import require, require_fraction


@dataclass(frozen=True)
class ConvNeXt(Backbone):
    """ConvNeXt: a stem of patches, and four stages of depthwise convolutions."""

    widths: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (3, 3, 9, 3)
    drop_path: float = 0.1
    """Probability that training leaves out a block for an image (Huang et al. 2016)."""

    strides: ClassVar = (4, 8, 16, 32)
    stages: ClassVar = {"2": ("layers.0",), "3": ("layers.1",), "4": ("layers.2",), "5": ("layers.3",)}

    @property
    def channels(self):
        return self.widths

    def validate(self, where):
        require(len(self.widths) == len(self.depths) == 4, f"{where}.widths", self.widths, "must hold 4 widths")
        require_fraction(f"{where}.drop_path", self.drop_path)

    def build(self, *, dtype, rngs):
        return ConvNeXtModule(self, dtype=dtype, rngs=rngs)


class Block(nnx.Module):
    def __init__(self, width, drop_path, *, dtype, rngs):
        groups = {"feature_group_count": width, "dtype": dtype, "rngs": rngs}
        self.depthwise = nnx.Conv(width, width, (7, 7), **groups)
        self.norm = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.expand = nnx.Linear(width, 4 * width, dtype=dtype, rngs=rngs)
        self.project = nnx.Linear(4 * width, width, dtype=dtype, rngs=rngs)
        self.drop_path = nnx.Dropout(drop_path, broadcast_dims=(1, 2, 3), rngs=rngs)

    def __call__(self, x):
        y = self.norm(self.depthwise(x))
        return x + self.drop_path(self.project(jax.nn.gelu(self.expand(y))))


class ConvNeXtModule(nnx.Module):
    def __init__(self, config, *, dtype, rngs):
        self.layers = nnx.List()
        inputs = 3
        for i, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            size = 4 if i == 0 else 2
            reduce = nnx.Conv(inputs, width, (size, size), size, padding="VALID", dtype=dtype, rngs=rngs)
            blocks = [Block(width, config.drop_path, dtype=dtype, rngs=rngs) for _ in range(depth)]
            self.layers.append(nnx.List([reduce, *blocks]))
            inputs = width

    def __call__(self, x):
        features = []
        for stage in self.layers:
            for layer in stage:
                x = layer(x)
            features.append(x)
        return tuple(features)


base = load_config(Path("tests/configs/tiny.py"))
config = replace(
    base,
    model=replace(base.model, backbone=ConvNeXt(widths=(8, 16, 24, 32), depths=(1, 1, 2, 1))),
    optimizer=replace(base.optimizer, phases=(Phase("4+", until=10), Phase("all"))),
)
