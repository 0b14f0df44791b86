"""A fork: a plain ViT with a simple feature pyramid of four levels from its last map (ViTDet, Li et al. 2022)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from maskrcnn_jax.config import Backbone, Neck, Phase
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.messages.config_error import require


@dataclass(frozen=True)
class ViT(Backbone):
    """Patches of 16 pixels and transformer blocks; one map."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    image_size: int = 1024
    """Image side of the position embedding, which is resized for other images."""
    dropout: float = 0.0

    strides: ClassVar = (16,)

    @property
    def channels(self):
        return (self.width,)

    @property
    def stages(self):
        blocks = {str(i + 1): (f"blocks.{i}",) for i in range(self.depth)}
        return {"embedding": ("patches", "position"), **blocks, "norm": ("norm",)}

    def validate(self, where):
        require(self.width % self.heads == 0, f"{where}.width", self.width, f"must be a multiple of {self.heads} heads")

    def build(self, *, dtype, rngs):
        return ViTModule(self, dtype=dtype, rngs=rngs)


class Block(nnx.Module):
    def __init__(self, config, *, dtype, rngs):
        width = config.width
        self.norm1 = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            config.heads, width, dropout_rate=config.dropout, decode=False, dtype=dtype, rngs=rngs
        )
        self.norm2 = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.expand = nnx.Linear(width, 4 * width, dtype=dtype, rngs=rngs)
        self.project = nnx.Linear(4 * width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.project(jax.nn.gelu(self.expand(self.norm2(x))))


class ViTModule(nnx.Module):
    def __init__(self, config, *, dtype, rngs):
        cells = config.image_size // 16
        self.patches = nnx.Conv(3, config.width, (16, 16), 16, padding="VALID", dtype=dtype, rngs=rngs)
        self.position = nnx.Param(0.02 * jax.random.normal(rngs.params(), (1, cells, cells, config.width)))
        self.blocks = nnx.List(Block(config, dtype=dtype, rngs=rngs) for _ in range(config.depth))
        self.norm = nnx.LayerNorm(config.width, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        x = self.patches(x)
        batch, height, width, channels = x.shape
        position = jax.image.resize(self.position[...], (1, height, width, channels), "linear")
        x = (x + position.astype(x.dtype)).reshape(batch, height * width, channels)
        for block in self.blocks:
            x = block(x)
        return (self.norm(x).reshape(batch, height, width, channels),)


@dataclass(frozen=True)
class SimplePyramid(Neck):
    """Levels of strides 4, 8, 16 and 32 from one map of stride 16."""

    channels: int = 256

    def strides(self, inputs):
        (stride,) = inputs
        return (stride // 4, stride // 2, stride, 2 * stride)

    def build(self, inputs, *, dtype, rngs):
        return SimplePyramidModule(inputs[0], self.channels, dtype=dtype, rngs=rngs)


class SimplePyramidModule(nnx.Module):
    def __init__(self, inputs, channels, *, dtype, rngs):
        def up(i, o):
            return nnx.ConvTranspose(i, o, (2, 2), (2, 2), dtype=dtype, rngs=rngs)

        self.up4, self.up4_again, self.up2 = up(inputs, inputs), up(inputs, inputs), up(inputs, inputs)
        self.output = nnx.List(nnx.Conv(inputs, channels, (3, 3), dtype=dtype, rngs=rngs) for _ in range(4))

    def __call__(self, features):
        (x,) = features
        levels = (self.up4_again(jax.nn.gelu(self.up4(x))), self.up2(x), x, nnx.max_pool(x, (2, 2), (2, 2)))
        return tuple(output(level).astype(jnp.float32) for output, level in zip(self.output, levels, strict=True))


base = load_config(Path("tests/configs/tiny.py"))
anchors = replace(base.model.rpn.anchors, sizes=(8.0, 16.0, 32.0, 48.0))
config = replace(
    base,
    model=replace(
        base.model,
        backbone=ViT(width=16, depth=2, heads=2, image_size=64, dropout=0.1),
        fpn=SimplePyramid(channels=16),
        rpn=replace(base.model.rpn, anchors=anchors),
    ),
    optimizer=replace(base.optimizer, phases=(Phase("2+", until=10), Phase("all"))),
)
