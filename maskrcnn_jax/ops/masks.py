"""Resampling ground-truth masks to the mask head's grid."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8


def _averages(
    low: Float[Array, " n"],
    high: Float[Array, " n"],
    bins: int,
    samples: Int[Array, " n"],
    most: Int[Array, ""] | int,
    cells: int,
) -> Float[Array, "n {bins} {cells}"]:
    """Matrices that average bilinear samples, `most` or fewer per bin of `[low, high)`, along `cells` cells."""
    low, side, samples = low[:, None], (high - low)[:, None] / bins, samples[:, None]

    def add(number, total):
        # Cell i is centred on i + 0.5; beyond the outermost centres the mask continues for half a cell and then is 0.
        at = low + (jnp.arange(bins)[None] + (number + 0.5) / samples) * side
        inside = (at >= 0.0) & (at <= cells) & (number < samples)
        at = jnp.clip(at - 0.5, 0.0, cells - 1.0)
        hat = jnp.maximum(1.0 - jnp.abs(at[..., None] - jnp.arange(cells)[None, None]), 0.0)
        return total + hat * inside[..., None]

    total = jax.lax.fori_loop(0, most, add, jnp.zeros((len(low), bins, cells)))
    return total / samples[..., None]


def crop_masks(
    masks: UInt8[Array, "n m m"],
    extent: Float[Array, "n 4"],
    boxes: Float[Array, "n 4"],
    size: int,
    samples: int,
) -> Float[Array, "n {size} {size}"]:
    """What each mask shows inside a box, on a grid of `size` × `size` bins.

    Args:
        masks: `[n, m, m]` in {0, 1}, one mask per box.
        extent: `[n, 4]` pixels: the region that each mask covers. The object's own box for crops, the whole image for
            full-resolution masks.
        boxes: `[n, 4]` pixels: the region to look at. What lies outside `extent` is empty.
        size: side of the result.
        samples: bilinear samples per bin and axis, averaged; 0 takes `⌈side / size⌉` of each box in pixels.

    Returns:
        `[n, size, size]` float32 in `[0, 1]`, the covered share of each bin. Boxes or extents without area give
        finite values.

    Source: Mask R-CNN, section 3 (mask target: intersection of the roi and its object's mask); TF Model Garden keeps
    112 × 112 crops in the same way.
    """
    cells = masks.shape[-1]
    extent, boxes = jax.lax.stop_gradient((extent, boxes))
    scale = cells / jnp.maximum(extent[:, 2:] - extent[:, :2], 1e-6)
    low, high = (boxes[:, :2] - extent[:, :2]) * scale, (boxes[:, 2:] - extent[:, :2]) * scale
    sides = jnp.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    counts = jnp.full(sides.shape, samples) if samples else jnp.maximum(jnp.ceil(sides / size), 1.0).astype(jnp.int32)
    most = samples or jnp.max(counts)
    x = _averages(low[:, 0], high[:, 0], size, counts[:, 0], most, cells)
    y = _averages(low[:, 1], high[:, 1], size, counts[:, 1], most, cells)
    return jnp.einsum("nih,nhw,njw->nij", y, masks.astype(jnp.float32), x, precision="highest")
