"""The head of the region proposal network (Faster R-CNN, section 3.1)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype

from maskrcnn_jax.nn.conv import Conv

small = initializers.normal(0.01)


class RPNHead(nnx.Module):
    """One small network slid over every level: objectness and a box for each anchor of each cell."""

    def __init__(self, inputs: int, channels: int, anchors: int, convs: int, *, dtype: Dtype, rngs: nnx.Rngs):
        widths = (inputs, *[channels] * convs)
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
