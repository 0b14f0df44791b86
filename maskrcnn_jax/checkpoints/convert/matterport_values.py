"""Matterport: input size and anchors from the array of anchors in a file."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.checkpoints.convert.matterport_model import SIDE
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, as_numbers
from maskrcnn_jax.checkpoints.convert.values import Reading
from maskrcnn_jax.checkpoints.formats.stored import shape_of
from maskrcnn_jax.config import ModelConfig

STRIDES = (4, 8, 16, 32, 64)
NEAR = 1e-3


def read(arrays: Mapping[str, Any], config: ModelConfig, path: Path | None) -> Reading:
    """The model with the input size and anchors that a file's anchors have; without them both are assumed.

    Some versions save the anchors of all levels among the weights, `[n, 4]` or `[images, n, 4]`: (y0, x0, y1 - 1,
    x1 - 1) in pixels, divided by the square's side - 1.

    Args:
        arrays: of the network, by "layer/weight".
        config: the model that they are recognised as.
        path: of the file; nothing beside it is read.

    Raises:
        ConversionError: the anchors are not of a square, or of several sizes on a level.
    """
    names = [name for name in arrays if name.startswith("anchors/")]
    if not names:
        reason = "the file does not hold it; it is the default of Matterport's configurations"
        return Reading(config, assumed=dict.fromkeys(("input.longest_edge", "rpn.anchors.sizes"), reason))
    shape = shape_of(arrays, names[0])
    if len(names) > 1 or len(shape) not in (2, 3) or shape[-1] != 4 or not 0 < math.prod(shape) < 2**28:
        raise ConversionError(f"{names[0]} {shape} holds no anchors: wanted [n, 4] or [images, n, 4]")
    boxes = as_numbers(arrays[names[0]], names[0]).reshape(-1, *shape[-2:])[0].astype(float)
    ratios = len(config.rpn.anchors.aspect_ratios)
    side = _side(len(boxes), ratios)
    if side is None:
        raise ConversionError(f"{names[0]} holds {len(boxes)} anchors; no square image has so many, {ratios} per cell")
    # Matterport's shift of a pixel: y1 and x1 are 1 less before they are divided.
    corners = boxes * (side - 1) + np.array([0.0, 0.0, 1.0, 1.0])
    starts = np.cumsum([0, *((side // stride) ** 2 * ratios for stride in STRIDES[:-1])])
    first = corners[starts[:, None] + np.arange(ratios)]
    height, width = first[..., 2] - first[..., 0], first[..., 3] - first[..., 1]
    centred = (np.abs(first[..., :2] + first[..., 2:]) < NEAR * side).all()
    if not np.isfinite(first).all() or not centred or (height <= 0).any() or (width <= 0).any():
        raise ConversionError(f"{names[0]} holds anchors that are empty, or not centred on the corners of cells")
    sizes, shares = np.sqrt(height * width), height / width
    same = (np.abs(sizes / sizes[:, :1] - 1) < 10 * NEAR).all() and (np.abs(shares / shares[0] - 1) < 10 * NEAR).all()
    if not same:
        raise ConversionError(f"{names[0]} has anchors of several sizes on a level; here a level has one size")
    found = _with(config, side, tuple(sizes[:, 0].round(1).tolist()), tuple(shares[0].round(3).tolist()))
    if found == config:
        return Reading(config)
    anchors = found.rpn.anchors
    note = (
        f"anchors of the file are taken: images of {side}×{side}, sizes {anchors.sizes}, ratios {anchors.aspect_ratios}"
    )
    return Reading(found, (note,))


def _side(count: int, ratios: int) -> int | None:
    """The side of a square with this many anchors; a multiple of 64."""
    # ratios · side² · (1/16 + 1/64 + 1/256 + 1/1024 + 1/4096)
    side = round(math.sqrt(count / ratios / sum(1 / stride**2 for stride in STRIDES)))
    fits = side % 64 == 0 and count == ratios * sum((side // stride) ** 2 for stride in STRIDES)
    return side if fits and side > 0 else None


def _with(config: ModelConfig, side: int, sizes: tuple[float, ...], ratios: tuple[float, ...]) -> ModelConfig:
    """The model for squares of a side; other sizes scale with it as in the base configuration."""
    anchors = config.rpn.anchors
    if not np.allclose(sizes, anchors.sizes, rtol=10 * NEAR) or not np.allclose(
        ratios, anchors.aspect_ratios, rtol=0.01
    ):
        anchors = replace(anchors, sizes=sizes, aspect_ratios=ratios)
    if side != SIDE:
        image = replace(config.input, shortest_edge=min(config.input.shortest_edge, side), longest_edge=side)
        pool = replace(config.pool, canonical_size=224 * (side - 1) / side)
        config = replace(config, input=replace(image, buckets=((side, side),)), pool=pool)
    return replace(config, rpn=replace(config.rpn, anchors=anchors))
