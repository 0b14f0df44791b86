"""Box geometry and the box coder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Weights = tuple[float, float, float, float]


def area(boxes: Float[Array, "*n 4"]) -> Float[Array, "*n"]:
    """Area of each box in square pixels; a box with a negative side has area 0."""
    width = jnp.maximum(boxes[..., 2] - boxes[..., 0], 0.0)
    height = jnp.maximum(boxes[..., 3] - boxes[..., 1], 0.0)
    return width * height


def intersection(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Area that each box of `a` shares with each box of `b`, square pixels."""
    top_left = jnp.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = jnp.minimum(a[:, None, 2:], b[None, :, 2:])
    side = jnp.maximum(bottom_right - top_left, 0.0)
    return side[..., 0] * side[..., 1]


# Jitted, so that all calls with one shape are traced as one.
@jax.jit
def iou(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Intersection over union of each box of `a` with each box of `b`.

    Returns:
        `[n, m]` in `[0, 1]`; 0 where both boxes have no area.
    """
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return jnp.where(union > 0, shared / jnp.where(union > 0, union, 1.0), 0.0)


def clip(boxes: Float[Array, "*n 4"], region: Float[Array, "4"]) -> Float[Array, "*n 4"]:
    """Clips corners that lie outside a region to its edge.

    Args:
        boxes: `[..., 4]` pixels.
        region: `[4]` pixels, a box itself.
    """
    low, high = jnp.tile(region[:2], 2), jnp.tile(region[2:], 2)
    low, high = jnp.broadcast_to(low, boxes.shape), jnp.broadcast_to(high, boxes.shape)
    return jnp.minimum(jnp.maximum(boxes, low), high)


def larger_than(boxes: Float[Array, "*n 4"], size: float | None) -> Bool[Array, "*n"]:
    """Whether both sides of a box are longer than `size` pixels, if given; False for boxes that are not finite.

    Source: Detectron2 `Boxes.nonempty(threshold)`.
    """
    finite = jnp.all(jnp.isfinite(boxes), axis=-1)
    if size is None:
        return finite
    sides = boxes[..., 2:] - boxes[..., :2]
    return jnp.all(sides > size, axis=-1) & finite


def shorten(boxes: Float[Array, "*n 4"], by: float) -> Float[Array, "*n 4"]:
    """Boxes whose right and bottom edges lie `by` pixels further in: 1 makes them end on their last pixel."""
    return boxes - jnp.broadcast_to(jnp.array([0.0, 0.0, by, by]), boxes.shape)


def _centre_form(boxes: Float[Array, "*n 4"]) -> tuple[Float[Array, "*n 2"], Float[Array, "*n 2"]]:
    side = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * side, side


def encode(boxes: Float[Array, "*n 4"], anchors: Float[Array, "*n 4"], weights: Weights) -> Float[Array, "*n 4"]:
    """Deltas that turn `anchors` into `boxes`.

    Args:
        boxes: `[..., 4]` pixels.
        anchors: `[..., 4]` pixels, the boxes to start from.
        weights: factors of `(dx, dy, dw, dh)`.

    Returns:
        `[..., 4]` `(dx, dy, dw, dh)`: centre offset in units of the anchor's sides, log of the ratio of sides, each
        times its weight. Sides below 1e-6 pixels count as 1e-6, so padded and empty boxes give finite numbers.

    Source: R-CNN (Girshick et al. 2014), appendix C; numbers of Detectron2 `Box2BoxTransform` and torchvision
    `BoxCoder`.
    """
    centre, side = _centre_form(boxes)
    anchor_centre, anchor_side = _centre_form(anchors)
    side, anchor_side = jnp.maximum(side, 1e-6), jnp.maximum(anchor_side, 1e-6)
    deltas = jnp.concatenate([(centre - anchor_centre) / anchor_side, jnp.log(side / anchor_side)], axis=-1)
    return deltas * jnp.broadcast_to(jnp.asarray(weights, deltas.dtype), deltas.shape)


def decode(
    deltas: Float[Array, "*n 4"], anchors: Float[Array, "*n 4"], weights: Weights, max_log_scale: float | None
) -> Float[Array, "*n 4"]:
    """Boxes that `deltas` make of `anchors`: the inverse of `encode`.

    Args:
        deltas: `[..., 4]` `(dx, dy, dw, dh)`.
        anchors: `[..., 4]` pixels.
        weights: factors that `encode` multiplied by.
        max_log_scale: upper bound of `dw` and `dh` after division by their weights, so that `exp` stays finite; None
            for no bound.

    Source: as `encode`.
    """
    deltas = deltas / jnp.broadcast_to(jnp.asarray(weights, deltas.dtype), deltas.shape)
    log_scale = deltas[..., 2:] if max_log_scale is None else jnp.minimum(deltas[..., 2:], max_log_scale)
    anchor_centre, anchor_side = _centre_form(anchors)
    centre = anchor_centre + deltas[..., :2] * anchor_side
    half = 0.5 * jnp.exp(log_scale) * anchor_side
    return jnp.concatenate([centre - half, centre + half], axis=-1)
