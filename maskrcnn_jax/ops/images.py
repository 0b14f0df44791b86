"""From RGB pixels to the normalised input of the network."""

import math
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from maskrcnn_jax.messages.config_error import require, require_positive

Images = Float[Array | np.ndarray, "b h w 3"] | UInt8[Array | np.ndarray, "b h w 3"]
ImageSizes = Float[Array | np.ndarray, "b 2"]
Interpolation = Literal["rounded", "exact", "antialiased", "truncated"]


@dataclass(frozen=True)
class InputConfig:
    """What the network expects of an image."""

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted per RGB channel, on the 0–255 scale."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Divided by, per RGB channel."""
    bgr: bool = False
    """Reverse the channels after normalising (MSRA backbones of Detectron2)."""
    shortest_edge: int = 800
    """Test-time length of the shorter side, pixels."""
    longest_edge: int = 1333
    """The longer side never exceeds this, pixels."""
    enlarge_only: bool = False
    """A shorter side above `shortest_edge` stays; only `longest_edge` makes an image smaller (Matterport)."""
    floor_size: bool = False
    """Drop the fractions of the resized sides (torchvision) instead of rounding to the nearest pixel."""
    interpolation: Interpolation = "rounded"
    """How pixels are resized: bilinear and rounded to whole values; kept as floats (torchvision); with a triangle
    filter as wide as the reduction (Pillow, so Detectron2); or cut to whole values (Matterport). Training rounds."""
    centered: bool = False
    """Pad on all sides alike (Matterport) instead of at the right and bottom."""
    black_padding: bool = False
    """Pad before normalising (Matterport): the padding is black instead of the mean colour."""
    size_divisibility: int = 32
    """The sides of the padded input are multiples of this: of the coarsest stride of the backbone, pixels."""
    buckets: tuple[tuple[int, int], ...] = ((832, 1344), (1344, 832))
    """Padded (height, width) of the network input: one compilation each. An image takes the smallest that holds it.
    Without any, each image is padded to the next multiples of `size_divisibility`: the numbers of the reference systems
    on one image, at the price of a compilation per size."""

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        for value in self.mean:
            require(math.isfinite(value), f"{where}.mean", value, "must be finite")
        require_positive(f"{where}.std", *self.std)
        require_positive(f"{where}.shortest_edge", self.shortest_edge)
        require_positive(f"{where}.size_divisibility", self.size_divisibility)
        fits = self.longest_edge >= self.shortest_edge
        require(fits, f"{where}.longest_edge", self.longest_edge, f"must not be below {where}.shortest_edge")
        if self.buckets:
            require_buckets(f"{where}.buckets", self.buckets, self.size_divisibility)
            shortest = self.longest_edge if self.enlarge_only else self.shortest_edge
            require_room(f"{where}.buckets", self.buckets, shortest, self.longest_edge)


def require_divisible(where: str, size: tuple[int, int], divisibility: int) -> None:
    """Raises ConfigError unless both sides of a padded size are positive multiples of `divisibility`."""
    fits = all(side > 0 and side % divisibility == 0 for side in size)
    remedy = f"both sides must be positive multiples of {divisibility}, the coarsest stride of the backbone"
    require(fits, where, size, remedy)


def require_buckets(where: str, buckets: tuple[tuple[int, int], ...], divisibility: int) -> None:
    """Raises ConfigError unless there are padded sizes, and the network takes all of them."""
    require(len(buckets) > 0, where, buckets, "must hold at least one (height, width)")
    for bucket in buckets:
        require_divisible(where, bucket, divisibility)


def require_room(where: str, buckets: tuple[tuple[int, int], ...], shortest: int, longest: int) -> None:
    """Raises ConfigError unless images with sides of these lengths fit into a bucket, upright and lying."""
    for height, width in ((shortest, longest), (longest, shortest)):
        held = any(height <= h and width <= w for h, w in buckets)
        remedy = f"must hold a resized image of {height}×{width} pixels; add a bucket at least as large"
        require(held, where, buckets, remedy)


def valid_regions(image_sizes: ImageSizes, image_shape: tuple[int, int], config: InputConfig) -> Float[Array, "b 4"]:
    """The part of each padded input that the image covers, a box in pixels."""
    sizes = jnp.asarray(image_sizes, jnp.float32)
    slack = jnp.asarray(image_shape, jnp.float32)[None] - sizes
    corner = jnp.floor(slack / 2) if config.centered else jnp.zeros_like(slack)
    return jnp.concatenate([corner[:, ::-1], (corner + sizes)[:, ::-1]], axis=1)


def normalize(images: Images, regions: Float[Array, "b 4"], config: InputConfig) -> Float[Array, "b h w 3"]:
    """RGB in `[0, 255]` to the network's input; outside the regions zero, or black with `config.black_padding`."""
    _, height, width, _ = images.shape
    mean, std = (jnp.asarray(v).reshape(1, 1, 1, 3) for v in (config.mean, config.std))
    x0, y0, x1, y1 = (edge[:, None] for edge in regions.T)
    y, x = jnp.arange(height)[None, :], jnp.arange(width)[None, :]
    inside = (((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None, :])[..., None]
    pixels = (images.astype(jnp.float32) - mean) / std
    pixels = jnp.where(inside, pixels, -mean / std if config.black_padding else 0.0)
    return pixels[..., ::-1] if config.bgr else pixels
