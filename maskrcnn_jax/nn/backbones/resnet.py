"""ResNet (He et al. 2016): the bottom-up half of the backbone."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
from flax import nnx
from flax.typing import Dtype

from maskrcnn_jax.extension import Backbone
from maskrcnn_jax.messages.config_error import require, require_not_negative, require_positive
from maskrcnn_jax.nn.conv import ConvNorm
from maskrcnn_jax.nn.norm import Norm, require_groups

Depth = Literal[18, 34, 50, 101, 152]
BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks per stage for each depth; 50 and deeper have bottleneck blocks."""


@dataclass(frozen=True)
class ResNet(Backbone):
    """ResNet (He et al. 2016)."""

    depth: Depth = 50
    width: int = 64
    """Channels of the stem; the stages have 1, 2, 4 and 8 times as many, times 4 in bottleneck nets."""
    norm: Norm = "frozen_batch"
    norm_eps: float = 1e-5
    """Added to variances; 0 for the published torchvision v1 weights, 1e-3 for Matterport's."""
    inner_width: int | None = None
    """Channels inside the first stage's bottlenecks, doubled from stage to stage; `width` if None. 256 with 32 groups
    is ResNeXt 32×8d."""
    groups: int = 1
    """Groups of the bottlenecks' 3×3 convolutions."""
    stride_in_1x1: bool = False
    """Stride in the bottleneck's first 1×1 (MSRA, Detectron2 R50/R101) instead of its 3×3 (torchvision)."""
    pool_after: bool = False
    """Pad the stem's pooling by one cell after and none before, as TensorFlow's SAME on even sides (Matterport)."""

    strides: ClassVar = (4, 8, 16, 32)
    stages: ClassVar = {"2": ("stem", "layer1"), "3": ("layer2",), "4": ("layer3",), "5": ("layer4",)}
    """As its outputs count, C2 … C5."""

    @property
    def bottleneck(self) -> bool:
        """Whether blocks are 1×1, 3×3, 1×1 convolutions instead of two 3×3."""
        return self.depth >= 50

    @property
    def channels(self) -> tuple[int, ...]:
        """Of C2 … C5."""
        return tuple(self.width * (4 if self.bottleneck else 1) * 2**i for i in range(4))

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_positive(f"{where}.width", self.width)
        require_not_negative(f"{where}.norm_eps", self.norm_eps)
        require_positive(f"{where}.groups", self.groups)
        inner = self.inner_width or self.width
        require_positive(f"{where}.inner_width", inner)
        plain = self.groups == 1 and self.inner_width is None and not self.stride_in_1x1
        remedy = "has basic blocks: groups, inner_width and stride_in_1x1 are for depths 50, 101 and 152"
        require(self.bottleneck or plain, f"{where}.depth", self.depth, remedy)
        divides = inner % self.groups == 0
        require(divides, f"{where}.groups", self.groups, f"must divide the {inner} channels inside a bottleneck")
        if self.norm == "group":
            for factor in (1, 2, 4, 8):
                require_groups(f"{where}.width", self.width * factor)
                require_groups(f"{where}.inner_width", inner * factor)

    def build(self, *, dtype: Dtype, rngs: nnx.Rngs) -> "ResNetModule":
        """Makes the module; see `Backbone.build`."""
        return ResNetModule(self, dtype=dtype, rngs=rngs)


class Block(nnx.Module):
    """A residual block: two 3×3 convolutions, or the bottleneck 1×1, 3×3, 1×1, beside a shortcut.

    `inner` is the number of channels between the convolutions; `groups` are those of the 3×3 ones.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        stride: int,
        bottleneck: bool,
        *,
        groups: int,
        stride_in_1x1: bool,
        norm: Norm,
        eps: float,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        sizes = (1, 3, 1) if bottleneck else (3, 3)
        strided = 1 if bottleneck and not stride_in_1x1 else 0
        channels = (inputs, *[inner] * (len(sizes) - 1), outputs)
        self.convs = nnx.List(
            ConvNorm(
                channels[i],
                channels[i + 1],
                size,
                stride=stride if i == strided else 1,
                groups=groups if size == 3 else 1,
                norm=norm,
                eps=eps,
                dtype=dtype,
                rngs=rngs,
            )
            for i, size in enumerate(sizes)
        )
        projects = stride != 1 or inputs != outputs
        self.shortcut = nnx.data(
            ConvNorm(inputs, outputs, 1, stride=stride, norm=norm, eps=eps, dtype=dtype, rngs=rngs)
            if projects
            else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        for conv in self.convs[:-1]:
            x = nnx.relu(conv(x))
        return nnx.relu(self.convs[-1](x) + shortcut)


def max_pool(x: jax.Array, before: int) -> jax.Array:
    """3×3 maximum at stride 2, padded by `before` cells at the top and left and by one at the bottom and right."""
    return nnx.max_pool(x, (3, 3), (2, 2), padding=((before, 1), (before, 1)))


class ResNetModule(nnx.Module):
    """Stem and four stages; `[b, H, W, 3]` to C2 … C5 at strides 4, 8, 16, 32.

    `inner_width` and `groups` make it a ResNeXt (Xie et al. 2017).
    """

    def __init__(self, config: ResNet, *, dtype: Dtype, rngs: nnx.Rngs):
        norm, eps = config.norm, config.norm_eps
        self.stem = ConvNorm(3, config.width, 7, stride=2, norm=norm, eps=eps, dtype=dtype, rngs=rngs)
        self.pool_before = 0 if config.pool_after else 1
        inputs, stages = config.width, []
        for i, count in enumerate(BLOCKS[config.depth]):
            blocks: nnx.List[Block] = nnx.List()
            for j in range(count):
                blocks.append(
                    Block(
                        inputs,
                        (config.inner_width or config.width) * 2**i,
                        config.channels[i],
                        stride=2 if i > 0 and j == 0 else 1,
                        bottleneck=config.bottleneck,
                        groups=config.groups,
                        stride_in_1x1=config.stride_in_1x1,
                        norm=norm,
                        eps=eps,
                        dtype=dtype,
                        rngs=rngs,
                    )
                )
                inputs = config.channels[i]
            stages.append(blocks)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        x = max_pool(nnx.relu(self.stem(x)), self.pool_before)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x)
            features.append(x)
        return tuple(features)
