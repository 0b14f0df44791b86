"""Convolution, norm, ReLU: the unit that every part of the network is built of."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from flax.typing import Dtype, Initializer

from maskrcnn_jax.nn.norm import Norm, make_norm
from maskrcnn_jax.nn.precision import summed_in_float32, weights_in_float32
from maskrcnn_jax.nn.winograd import conv3x3

he_normal = initializers.variance_scaling(2.0, "fan_out", "normal")
"""Start of a convolution that a ReLU follows (He et al. 2015), as in the reference ResNets."""

uniform = initializers.variance_scaling(1.0, "fan_in", "uniform")
"""Start of a linear layer; Detectron2 calls it `c2_xavier_fill`."""


def _pointwise(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], *_: object, **__: object) -> jax.Array:
    """A 1×1 convolution as a matrix product: the same numbers, and XLA runs it 2 to 8 times faster on CPUs."""
    if max(strides) > 1:
        # Without the barrier XLA's compiler for GPUs (JAX 0.10 and 0.11) fuses the strided slice of a ReLU into the
        # product and aborts, in the check that openxla/xla issue 47381 shows.
        x = jax.lax.optimization_barrier(x[:, :: strides[0], :: strides[1]])
    return jnp.einsum("bhwc,cd->bhwd", x, kernel[0, 0])


def _three_by_three(x: jax.Array, kernel: jax.Array, *_: object, **__: object) -> jax.Array:
    return conv3x3(x, kernel)


def _fastest(size: int, stride: int, groups: int) -> Callable[..., jax.Array]:
    """What a convolution calls in place of XLA's own, which it is otherwise."""
    if size == groups == 1:
        return _pointwise
    return _three_by_three if size == 3 and stride == groups == 1 else jax.lax.conv_general_dilated


class Conv(nnx.Conv):
    """Square convolution, `[b, h, w, c]` to `[b, ⌈h / stride⌉, ⌈w / stride⌉, d]`.

    Padding is symmetric as in PyTorch, not TensorFlow's "SAME", which shifts strided convolutions by half a cell.
    With `groups`, each equal share of the outputs sees its share of the inputs only.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        init: Initializer = he_normal,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            inputs,
            outputs,
            (size, size),
            stride,
            padding=size // 2,
            feature_group_count=groups,
            use_bias=bias,
            kernel_init=init,
            promote_dtype=weights_in_float32,
            dtype=dtype,
            conv_general_dilated=summed_in_float32(_fastest(size, stride, groups)),
            rngs=rngs,
        )

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        return super().__call__(x).astype(self.dtype)


class ConvNorm(nnx.Module):
    """A convolution and its norm; the convolution has a bias exactly if there is no norm."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: Norm,
        eps: float,
        init: Initializer = he_normal,
        dtype: Dtype,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            inputs,
            outputs,
            size,
            stride=stride,
            groups=groups,
            bias=norm == "none",
            init=init,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = make_norm(norm, outputs, eps=eps, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.conv(x))
