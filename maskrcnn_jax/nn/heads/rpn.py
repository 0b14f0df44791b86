"""The head of the region proposal network (Faster R-CNN, section 3.1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype

from maskrcnn_jax.extension import Value
from maskrcnn_jax.messages.config_error import require_fraction, require_not_negative, require_positive
from maskrcnn_jax.nn.conv import Conv
from maskrcnn_jax.ops.anchors import AnchorConfig

small = initializers.normal(0.01)


@dataclass(frozen=True)
class ProposalConfig:
    """From anchors to proposals. Training looks at more candidates than prediction does."""

    top_k: int = 1000
    """Candidates per level before suppression, in prediction."""
    count: int = 1000
    """Proposals per image after suppression, in prediction."""
    train_top_k: int = 2000
    train_count: int = 1000
    joint: bool = False
    """Rank and suppress all levels together (Matterport): `top_k` is then for all of them."""
    nms_iou: float = 0.7
    min_size: float | None = 0.0
    """Candidates with a side of at most this many pixels are dropped; none if None (Matterport)."""
    clip_to_canvas: bool = False
    """Candidates may reach into the padding (Matterport); False clips them to the image."""
    max_log_scale: float | None = math.log(1000 / 16)
    """Cap of the encoded log width and height, also of the box head's. None for no cap (Matterport)."""
    box_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        for name in ("top_k", "count", "train_top_k", "train_count"):
            require_positive(f"{where}.{name}", getattr(self, name))
        require_fraction(f"{where}.nms_iou", self.nms_iou)
        if self.min_size is not None:
            require_not_negative(f"{where}.min_size", self.min_size)
        if self.max_log_scale is not None:
            require_positive(f"{where}.max_log_scale", self.max_log_scale)
        require_positive(f"{where}.box_weights", *self.box_weights)


@dataclass(frozen=True)
class RPN(Value):
    """Region proposal network (Faster R-CNN, section 3.1). A fork that replaces its head derives from it."""

    convs: int = 1
    """3×3 convolutions before the two outputs."""
    channels: int | None = None
    """Of those convolutions; as many as the pyramid has if None."""
    anchors: AnchorConfig = AnchorConfig()
    proposals: ProposalConfig = ProposalConfig()

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_positive(f"{where}.convs", self.convs)
        if self.channels is not None:
            require_positive(f"{where}.channels", self.channels)
        self.anchors.validate(f"{where}.anchors")
        self.proposals.validate(f"{where}.proposals")

    def build(self, channels: int, *, dtype: Dtype, rngs: nnx.Rngs) -> nnx.Module:
        """Makes the module: the levels of the pyramid to logits `[b, A]` and deltas `[b, A, 4]`, float32.

        Args:
            channels: of the pyramid.
            dtype: compute type; parameters are float32.
            rngs: of the initial weights.
        """
        return RPNHead(self, channels, dtype=dtype, rngs=rngs)


class RPNHead(nnx.Module):
    """One small network slid over every level: objectness and a box for each anchor of each cell."""

    def __init__(self, config: RPN, inputs: int, *, dtype: Dtype, rngs: nnx.Rngs):
        convs, anchors = config.convs, config.anchors.per_cell
        widths = (inputs, *[config.channels or inputs] * convs)
        self.convs = nnx.List(
            Conv(widths[i], widths[i + 1], 3, init=small, dtype=dtype, rngs=rngs) for i in range(convs)
        )
        self.logits = Conv(widths[-1], anchors, 1, init=small, dtype=dtype, rngs=rngs)
        self.deltas = Conv(widths[-1], anchors * 4, 1, init=small, dtype=dtype, rngs=rngs)

    def __call__(self, features: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Logits `[b, A]` and deltas `[b, A, 4]`, float32, in the order of the anchors: level, row, column, ratio."""
        logits, deltas = [], []
        for x in features:
            for conv in self.convs:
                x = nnx.relu(conv(x))
            logits.append(self.logits(x).reshape(x.shape[0], -1))
            deltas.append(self.deltas(x).reshape(x.shape[0], -1, 4))
        return jnp.concatenate(logits, 1).astype(jnp.float32), jnp.concatenate(deltas, 1).astype(jnp.float32)
