"""Matterport's RoIAlign: TensorFlow's `crop_and_resize` of boxes from any level of a feature pyramid."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from maskrcnn_jax.ops.pyramid import concatenate_levels


def _corners(low: Float[Array, " n"], high: Float[Array, " n"], last: Int[Array, " n"], bins: int):
    """The two cells beside each of a box's samples along one axis, and their weights: `[2, n, bins]` each.

    Args:
        low: start of each box, as a share of the axis.
        high: its end.
        last: the last cell of each box's level.
        bins: number of samples.
    """
    low, high = ((edge * last)[:, None] for edge in (low, high))
    # In shares of the box, the last of them 1: so rounding carries no sample of a box that ends on the border over it,
    # where it would count 0.
    step = np.linspace(0, 1, bins) if bins > 1 else np.array([0.5])
    at = low + (high - low) * jnp.asarray(step, jnp.float32)[None]
    last = last[:, None]
    inside = (at >= 0) & (at <= last)
    at = jnp.where(inside, at, 0.0)
    before = jnp.floor(at).astype(jnp.int32)
    after = jnp.minimum(before + 1, last)
    upper = at - before
    return jnp.stack([before, after]), jnp.stack([1.0 - upper, upper]) * inside[None]


def crop_and_resize(
    features: Sequence[Float[Array, "_h _w f"]],
    boxes: Float[Array, "n 4"],
    level: Int[Array, " n"],
    image_shape: tuple[int, int],
    bins: int,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Array, "n {bins} {bins} f"]:
    """One bilinear sample per cell of a grid whose corners are the corners of the box.

    It stands in for `roi_align` and takes the same arguments. The middle of the first pixel is the middle of the first
    cell and that of the last pixel is that of the last cell, so positions differ from those of `roi_align` and from
    those of the anchors.

    Args:
        features: levels of one image, `[h, w, f]` each.
        boxes: `[n, 4]` pixels of the padded network input, ending on their last pixel
            (`config.ModelConfig.inclusive_boxes`). No gradient flows to them.
        level: index into `features` for each box.
        image_shape: `(height, width)` of the padded network input, pixels.
        bins: side of the output grid; a grid of one cell has its sample in the middle of the box.
        sampling_ratio: not used; see `roi_align`.
        aligned: not used; see `roi_align`.

    Returns:
        `[n, bins, bins, f]` in the type of `features`. Samples outside the level count as 0, as do those of boxes that
        are not numbers. Boxes without area take one point several times.

    Source: Matterport `PyramidROIAlign`, TensorFlow `image.crop_and_resize`. Deviation: in TensorFlow, float32 rounding
    carries the last samples of 7 % of the boxes that end on the border over it, where they count 0; here of none.
    """
    boxes = jax.lax.stop_gradient(boxes)
    table, start, height, width = concatenate_levels(features, level)
    table = table.astype(jnp.float32)  # so that the gradients of many rois add up in it
    rightmost, lowest = image_shape[1] - 1, image_shape[0] - 1
    x0, y0, x1, y1 = (boxes / jnp.asarray([[rightmost, lowest, rightmost, lowest]], jnp.float32)).T
    y, y_weights = _corners(y0, y1, height - 1, bins)
    x, x_weights = _corners(x0, x1, width - 1, bins)
    y = start[None, :, None] + y * width[None, :, None]
    pooled = jnp.zeros((len(boxes), bins, bins, table.shape[1]))
    # XLA makes these four reads for CPUs ten times faster than one read of all four cells.
    for row, row_weight in zip(y, y_weights, strict=True):
        for column, column_weight in zip(x, x_weights, strict=True):
            cells = table.at[row[:, :, None] + column[:, None, :]].get(mode="promise_in_bounds")
            pooled += cells * (row_weight[:, :, None] * column_weight[:, None, :])[..., None]
    return pooled.astype(features[0].dtype)
