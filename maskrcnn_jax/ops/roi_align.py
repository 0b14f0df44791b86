"""RoIAlign: bilinear pooling of boxes of any size to a fixed grid, from any level of a feature pyramid."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from maskrcnn_jax.messages.config_error import require_not_negative, require_positive
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.pyramid import concatenate_levels


@dataclass(frozen=True)
class PoolConfig:
    """RoIAlign (Mask R-CNN, section 3) over the pyramid (FPN, equation 1)."""

    method: Literal["roi_align", "crop_and_resize"] = "roi_align"
    """`crop_and_resize` (Matterport) takes one sample per cell, the outer ones on the box's corners, and of the other
    fields here reads only the canonical ones and `level_eps`."""
    sampling_ratio: int = 2
    """Samples per bin and axis; 0 takes ⌈roi side / bins⌉, the data's choice (Detectron2)."""
    aligned: bool = True
    """Shift by half a pixel so that samples sit where pixel centres are (Detectron2); False is torchvision's."""
    canonical_size: float = 224.0
    """An RoI of this side, pixels, goes to `canonical_level`."""
    canonical_level: int = 4
    """In the paper's numbering: the level of stride 2^4."""
    level_eps: float = 1e-6
    """Added to the log2 before it is floored: 0.5 takes the nearest level (Matterport)."""

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        require_not_negative(f"{where}.sampling_ratio", self.sampling_ratio)
        require_positive(f"{where}.canonical_size", self.canonical_size)
        require_not_negative(f"{where}.level_eps", self.level_eps)


def assign_levels(
    boxes: Float[Array, "n 4"], levels: int, canonical_size: float, canonical_level: int, eps: float, finest: int = 2
) -> Int[Array, " n"]:
    """The pyramid level that each box is pooled from.

    Args:
        boxes: `[n, 4]` pixels.
        levels: number of levels to choose from.
        canonical_size: side in pixels of a box that belongs to `canonical_level`.
        canonical_level: in the paper's numbering, 4 for P4.
        eps: added before flooring, so that a box of exactly a power-of-two side does not fall one level short.
        finest: the first level in the paper's numbering, log2 of its stride: 2 for P2.

    Returns:
        `[n]` int32 in `[0, levels)`, 0 for the finest. Boxes without area go to the finest.

    Source: FPN (Lin et al. 2017), equation 1; eps as in torchvision `LevelMapper`.
    """
    side = jnp.sqrt(box_ops.area(boxes))
    level = jnp.floor(canonical_level + jnp.log2(jnp.maximum(side, 1e-6) / canonical_size) + eps)
    return jnp.clip(level - finest, 0, levels - 1).astype(jnp.int32)


class _Axis(NamedTuple):
    """Where a roi's samples lie along one axis of its level, in feature cells."""

    start: Float[Array, " n"]
    bin_size: Float[Array, " n"]
    samples: Int[Array, " n"]
    """Samples per bin."""
    cells: Int[Array, " n"]
    """Length of the level."""


def _axis(
    low: Float[Array, " n"], high: Float[Array, " n"], cells: Int[Array, " n"], bins: int, ratio: int, aligned: bool
) -> _Axis:
    length = high - low
    if not aligned:
        length = jnp.maximum(length, 1.0)
    samples = jnp.full_like(cells, ratio) if ratio else jnp.maximum(jnp.ceil(length / bins), 1).astype(jnp.int32)
    return _Axis(low - (0.5 if aligned else 0.0), length / bins, samples, cells)


def _corners(axis: _Axis, bins: int, sample: Int[Array, " n"]):
    """The two cells beside each roi's sample number `sample` of each bin, and their weights: `[2, n, bins]` each."""
    samples, sample = axis.samples[:, None], sample[:, None]
    step = jnp.arange(bins)[None] + (sample + 0.5) / samples
    at = axis.start[:, None] + step * axis.bin_size[:, None]
    last = axis.cells[:, None] - 1
    inside = (at >= -1.0) & (at <= last + 1.0) & (sample < samples)
    at = jnp.clip(at, 0.0, last.astype(at.dtype))
    low = jnp.floor(at).astype(jnp.int32)
    high = jnp.minimum(low + 1, last)
    upper = at - low
    scale = inside / samples
    return jnp.stack([low, high]), jnp.stack([(1.0 - upper) * scale, upper * scale])


def _reads(table: Array, base: Int[Array, " n"], y: _Axis, x: _Axis, bins: int, number: Int[Array, ""]):
    """The four cells that sample `number` of every bin reads, and their weights: four pairs of `[n, bins, bins]`.

    What has no weight, as all samples beyond those that a roi needs, lies behind the table's end.
    """

    def read(row, row_weight, column, column_weight):
        index = base[:, None, None] + row[:, :, None] * x.cells[:, None, None] + column[:, None, :]
        weight = row_weight[:, :, None] * column_weight[:, None, :]
        return jnp.where(weight > 0, index, len(table)), weight

    ys = zip(*_corners(y, bins, number // x.samples), strict=True)
    xs = zip(*_corners(x, bins, number % x.samples), strict=True)
    return [read(*row, *column) for row, column in itertools.product(ys, xs)]


@jax.custom_batching.custom_vmap
def _largest(counts: Int[Array, " n"]) -> Int[Array, ""]:
    """The largest count, of all images together under `vmap`: a loop's end that all share needs no masked carry."""
    return jnp.max(counts)


@_largest.def_vmap
def _largest_of_batch(_axis_size: int, _in_batched: list[bool], counts: Int[Array, "b n"]):
    return _largest(counts.reshape(-1)), False


def _most(y: _Axis, x: _Axis, ratio: int) -> Int[Array, ""] | int:
    """Samples per bin of the roi that needs most."""
    return ratio**2 or _largest(y.samples * x.samples)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _pool(
    table: Float[Array, "cells f"], base: Int[Array, " n"], y: _Axis, x: _Axis, bins: int, ratio: int
) -> Float[Array, "n {bins} {bins} f"]:
    """Adds up the samples of all bins, one per bin at a time: a loop, so that they take no more memory than one."""

    def add(number, pooled):
        for index, weight in _reads(table, base, y, x, bins, number):
            # Clipped, all that has no weight reads the last cell, which costs no memory traffic.
            pooled += table.at[index].get(mode="clip") * weight[..., None]
        return pooled

    shape = (base.shape[0], bins, bins, table.shape[1])
    return jax.lax.fori_loop(0, _most(y, x, ratio), add, jnp.zeros(shape, jnp.float32))


def _pool_forward(table, base, y, x, bins, ratio):
    return _pool(table, base, y, x, bins, ratio), (jnp.zeros_like(table), base, y, x)


def _pool_backward(bins, ratio, residuals, cotangent):
    """Pooling is linear in the table: its transpose gives back to each cell, by the same weights, what it gave."""
    zeros, base, y, x = residuals

    def add(number, total):
        for index, weight in _reads(zeros, base, y, x, bins, number):
            total = total.at[index].add(cotangent * weight[..., None], mode="drop")
        return total

    total = jax.lax.fori_loop(0, _most(y, x, ratio), add, zeros.astype(jnp.float32))
    return total.astype(zeros.dtype), None, None, None


_pool.defvjp(_pool_forward, _pool_backward)


def roi_align(
    features: Sequence[Float[Array, "_h _w f"]],
    boxes: Float[Array, "n 4"],
    level: Int[Array, " n"],
    image_shape: tuple[int, int],
    bins: int,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Array, "n {bins} {bins} f"]:
    """Average of bilinear samples in each bin of each box.

    The levels are laid end to end in one table, so that each sample gathers four cells, on any level,
    and the cost does not grow with the number of levels.

    Args:
        features: levels of one image, `[h, w, f]` each.
        boxes: `[n, 4]` pixels of the padded network input. No gradient flows to them.
        level: index into `features` for each box.
        image_shape: `(height, width)` of the padded network input, pixels.
        bins: side of the output grid.
        sampling_ratio: samples per bin and axis; 0 takes `⌈side / bins⌉` of each box in feature cells, at
            least one.
        aligned: shift coordinates by half a cell, so that cell `i` is centred on `i`; False treats boxes shorter than
            one cell as one cell long.

    Returns:
        `[n, bins, bins, f]` in the type of `features`. Samples more than one cell outside the level count as 0.

    Source: Mask R-CNN, section 3; the numbers of Detectron2 `ROIAlign` (aligned) and torchvision `roi_align`.
    """
    boxes = jax.lax.stop_gradient(boxes)
    shapes = [f.shape[:2] for f in features]
    table, base, height, width = concatenate_levels(features, level)
    # A level's scale is the power of two nearest to its share of the image, as torchvision infers it.
    scale_y = jnp.asarray([2.0 ** round(math.log2(h / image_shape[0])) for h, _ in shapes])[level]
    scale_x = jnp.asarray([2.0 ** round(math.log2(w / image_shape[1])) for _, w in shapes])[level]
    y = _axis(boxes[:, 1] * scale_y, boxes[:, 3] * scale_y, height, bins, sampling_ratio, aligned)
    x = _axis(boxes[:, 0] * scale_x, boxes[:, 2] * scale_x, width, bins, sampling_ratio, aligned)
    return _pool(table, base, y, x, bins, sampling_ratio).astype(table.dtype)
