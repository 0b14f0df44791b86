"""3×3 convolutions with 2.25 times fewer multiplications, as matrix products: what CPUs do best.

Two neighbouring outputs of a filter of three taps take six multiplications. After a change of basis they take four:
`y = Aᵀ (Gk ⊙ Bᵀx)` for the four inputs `x` that the two see. Along both axes, 4 × 4 inputs make 2 × 2 outputs with 16
multiplications in place of 36, and each of the 16 is, over all channels and tiles, one matrix product.

The matrices hold 0, ±1 and ±½ only, so that float32 loses next to nothing: results differ from the direct sum by a
millionth. Compiled by XLA for CPUs, a convolution on a wide map takes half to four fifths of the direct one's time, and
the gradient of its kernel a tenth to a half.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", F(2×2, 3×3).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax.typing import Dtype

Matrix = Sequence[Sequence[float]]
Grid = Sequence[Sequence[jax.Array]]

INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""`Bᵀ`"""
KERNEL: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
"""`G`"""
OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))
"""`Aᵀ`"""

IN_PREDICTION, IN_TRAINING = 5e9, 1e9
"""Floating-point operations from which on it is used. LLVM compiles each convolution for one or two seconds more, which
a few images do not make up for; the many steps of a training do."""


@jax.custom_vjp
def conv3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """3×3 convolution at stride 1 with padding 1, by the fastest way that the device has.

    On GPUs and TPUs, and for small convolutions and other types than float32, that is XLA's own.

    Args:
        x: `[b, h, w, c]`.
        kernel: `[3, 3, c, d]`.

    Returns:
        `[b, h, w, d]`.
    """
    return _fastest(IN_PREDICTION, convolve, direct, x, kernel)


def _forward(x, kernel):
    return _fastest(IN_TRAINING, convolve, direct, x, kernel), (x, kernel)


def _backward(residuals, cotangent):
    return _fastest(IN_TRAINING, gradients, _direct_gradients, *residuals, cotangent)


conv3x3.defvjp(_forward, _backward)


def _fastest(
    threshold: float, on_cpu: Callable, elsewhere: Callable, x: jax.Array, kernel: jax.Array, *more: jax.Array
):
    if not uses_winograd(x.shape, kernel.shape[3], x.dtype, threshold):
        return elsewhere(x, kernel, *more)
    return jax.lax.platform_dependent(x, kernel, *more, cpu=on_cpu, default=elsewhere)


def uses_winograd(shape: Sequence[Any], outputs: int, dtype: Dtype, threshold: float) -> bool:
    """Whether a 3×3 convolution of `[b, h, w, c]` to so many channels is matrix products on CPUs.

    Images of unknown number count as one.
    """
    work = 2 * 9 * outputs * math.prod(side for side in shape if isinstance(side, int))
    return bool(dtype == jnp.float32 and work >= threshold)


def direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's own convolution at stride 1 with padding 1."""
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=axes)


def _direct_gradients(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(direct, x, kernel)[1](cotangent)


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution at stride 1 with padding 1: `[b, h, w, c]` and `[3, 3, c, d]` to `[b, h, w, d]`."""
    products = _products("bhwc,cd->bhwd", _input_tiles(x), _transform(KERNEL, [list(row) for row in kernel]))
    tiles = jnp.stack([jnp.stack(row, axis=3) for row in _transform(OUTPUT, products)], axis=2)
    batch, height, _, width, _, outputs = tiles.shape
    return tiles.reshape(batch, 2 * height, 2 * width, outputs)[:, : x.shape[1], : x.shape[2]]


def gradients(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the gradient of `convolve`'s output says of its input and its kernel.

    The first is a convolution with the kernel turned round; the second takes the transpose of every step, from the
    back.
    """
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    inputs, outputs = _input_tiles(x), _transform(_transpose(OUTPUT), _output_tiles(cotangent))
    kernels = _products("kc,kd->cd", _matrices(inputs), _matrices(outputs))
    taps = _transform(_transpose(KERNEL), kernels)
    return convolve(cotangent, turned), jnp.stack([jnp.stack(row) for row in taps])


def _products(which: str, a: Grid, b: Grid) -> Grid:
    return [[jnp.einsum(which, *pair) for pair in zip(*lines, strict=True)] for lines in zip(a, b, strict=True)]


def _matrices(grid: Grid) -> Grid:
    """Each array as a matrix of its channels, computed before it is multiplied.

    Without the barrier XLA writes the sums of a transform transposed, several times slower than the product itself,
    which can as well read them as they are.
    """
    return [[jax.lax.optimization_barrier(a.reshape(-1, a.shape[-1])) for a in row] for row in grid]


def _transpose(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _combine(weights: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
    terms = [a if w == 1 else w * a for w, a in zip(weights, arrays, strict=True) if w != 0]
    return sum(terms[1:], start=terms[0])


def _transform(matrix: Matrix, grid: Grid) -> Grid:
    """`matrix · grid · matrixᵀ` for a square grid of arrays."""
    half = zip(*([_combine(weights, row) for weights in matrix] for row in grid), strict=True)
    return list(zip(*([_combine(weights, column) for weights in matrix] for column in half), strict=True))


def _input_tiles(x: jax.Array) -> Grid:
    """Of every 4 × 4 tile of the padded input, two cells from the next, each cell as an array; transformed."""
    _, height, width, _ = x.shape
    even_height, even_width = 2 * -(-height // 2), 2 * -(-width // 2)
    x = jnp.pad(x, ((0, 0), (1, 1 + even_height - height), (1, 1 + even_width - width), (0, 0)))
    cells = [[x[:, i : i + even_height : 2, j : j + even_width : 2] for j in range(4)] for i in range(4)]
    return _transform(INPUT, cells)


def _output_tiles(y: jax.Array) -> Grid:
    """Of every 2 × 2 tile of the output, each cell as an array."""
    y = jnp.pad(y, ((0, 0), (0, y.shape[1] % 2), (0, y.shape[2] % 2), (0, 0)))
    return [[y[:, i::2, j::2] for j in range(2)] for i in range(2)]
