"""ResNet (He et al. 2016): the bottom-up half of the backbone."""

from typing import Literal

import jax
from flax import nnx
from flax.typing import Dtype

from maskrcnn_jax.nn.conv import ConvNorm
from maskrcnn_jax.nn.norm import Norm

Depth = Literal[18, 34, 50, 101, 152]
BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks per stage for each depth; 50 and deeper have bottleneck blocks."""


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


class ResNet(nnx.Module):
    """Stem and four stages; `[b, H, W, 3]` to C2 … C5 at strides 4, 8, 16, 32.

    `inner_width` and `groups` make it a ResNeXt (Xie et al. 2017); `pool_after` pads the stem's pooling as TensorFlow.
    """

    def __init__(
        self,
        depth: Depth,
        width: int,
        *,
        inner_width: int | None,
        groups: int,
        stride_in_1x1: bool,
        pool_after: bool,
        norm: Norm,
        eps: float,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        bottleneck = depth >= 50
        self.stem = ConvNorm(3, width, 7, stride=2, norm=norm, eps=eps, dtype=dtype, rngs=rngs)
        self.pool_before = 0 if pool_after else 1
        expansion = 4 if bottleneck else 1
        self.channels = tuple(width * expansion * 2**i for i in range(4))
        inputs, stages = width, []
        for i, count in enumerate(BLOCKS[depth]):
            blocks: nnx.List[Block] = nnx.List()
            for j in range(count):
                blocks.append(
                    Block(
                        inputs,
                        (inner_width or width) * 2**i,
                        self.channels[i],
                        stride=2 if i > 0 and j == 0 else 1,
                        bottleneck=bottleneck,
                        groups=groups,
                        stride_in_1x1=stride_in_1x1,
                        norm=norm,
                        eps=eps,
                        dtype=dtype,
                        rngs=rngs,
                    )
                )
                inputs = self.channels[i]
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
