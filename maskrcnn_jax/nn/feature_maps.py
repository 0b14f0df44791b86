"""Checks of what a backbone and a neck return against what they declare."""

from collections.abc import Sequence

import jax

from maskrcnn_jax.messages.config_error import require
from maskrcnn_jax.messages.counts import pluralize


def require_maps(
    where: str,
    maps: Sequence[jax.Array],
    channels: Sequence[int],
    strides: Sequence[int],
    image_shape: tuple[int, int],
) -> None:
    """Checks number, sizes and channels of feature maps; wrong strides would put anchors and RoIs in wrong locations.

    Args:
        where: dotted name of the part in the configuration.
        maps: `[b, h, w, c]` each.
        channels: declared, of each map.
        strides: declared, of each map.
        image_shape: (height, width) of the padded input, pixels. A map may round its size up or down.

    Raises:
        ConfigError: they differ.
    """
    require(len(maps) == len(strides), f"{where}.strides", strides, f"the module returns {pluralize(len(maps), 'map')}")
    for i, (fmap, stride, width) in enumerate(zip(maps, strides, channels, strict=True)):
        shape = tuple(fmap.shape)
        fits = all(
            cells in (side // stride, -(-side // stride)) for side, cells in zip(image_shape, shape[1:3], strict=True)
        )
        height, across = image_shape
        remedy = f"map {i} of the module is [b, h, w, c] = {shape} for images of {height}×{across}; correct one of both"
        require(fits, f"{where}.strides", strides, remedy)
        require(shape[3] == width, f"{where}.channels", channels, remedy)
