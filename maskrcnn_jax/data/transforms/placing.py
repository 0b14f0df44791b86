"""Geometric transforms: resizing, cropping, mirroring, rotating."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Integer

from maskrcnn_jax.data.transforms.buckets import Bucket, resized_sizes
from maskrcnn_jax.data.transforms.placement import Placement, cropped, resized_window
from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.messages.config_error import require, require_fraction, require_positive
from maskrcnn_jax.ops.images import require_room

Sizes = Integer[np.ndarray, "n 2"]


@dataclass(frozen=True)
class Resize(Transform):
    """Resizes the shorter side to a length drawn at random from a few (multi-scale training)."""

    shortest_edges: tuple[int, ...] = (800,)
    """Lengths of the shorter side to choose from at random, pixels."""
    longest_edge: int = 1333
    """Upper bound of the longer side, pixels."""

    name: ClassVar = "resize"
    shares_generator: ClassVar = True

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        edges = self.shortest_edges
        require(len(edges) > 0, f"{where}.shortest_edges", edges, "must hold at least one length")
        require_positive(f"{where}.shortest_edges", *edges)
        remedy = f"must not be below {max(edges)}, of {where}.shortest_edges"
        require(self.longest_edge >= max(edges), f"{where}.longest_edge", self.longest_edge, remedy)

    def check_buckets(self, where: str, buckets: Sequence[Bucket]) -> None:
        """Checks that images of every shape fit into a bucket; see `Transform.check_buckets`."""
        require_room("data.buckets", tuple(buckets), max(self.shortest_edges), self.longest_edge)

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Draws a length and resizes; see `Transform.place`."""
        edge = int(rng.choice(self.shortest_edges))
        height, width = resized_sizes(np.array([placement.window]), edge, self.longest_edge)[0].tolist()
        return resized_window(placement, (height, width))

    def largest(self, sizes: Sizes, buckets: Sequence[Bucket]) -> Sizes:
        """The sizes with the longest of the lengths; see `Transform.largest`."""
        return resized_sizes(sizes, max(self.shortest_edges), self.longest_edge)

    def without_randomness(self) -> "Resize":
        """Always the longest of the lengths."""
        return Resize((max(self.shortest_edges),), self.longest_edge)


@dataclass(frozen=True)
class ScaleJitter(Transform):
    """Resizes by a random factor relative to the largest size that fits the only bucket, then crops to it.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste", large-scale jittering.
    """

    low: float = 0.1
    high: float = 2.0
    """The factors are between `low` and `high`."""

    name: ClassVar = "scale_jitter"
    shares_generator: ClassVar = True

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        fits = 0 < self.low <= self.high < math.inf
        require(fits, where, (self.low, self.high), "must be (low, high), 0 < low ≤ high")

    def check_buckets(self, where: str, buckets: Sequence[Bucket]) -> None:
        """Checks that there is one bucket; see `Transform.check_buckets`."""
        require(len(buckets) == 1, "data.buckets", tuple(buckets), f"must be exactly one with {where}")

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Draws the factor and the position of the crop; see `Transform.place`."""
        room = bucket[::-1] if placement.turns % 2 else bucket
        scale = rng.uniform(self.low, self.high) * np.min(np.divide(room, placement.window))
        resized = np.maximum((np.multiply(placement.window, scale) + 0.5).astype(np.int64), 1)
        window = np.minimum(resized, room)
        offset = rng.integers(0, resized - window, endpoint=True)
        (height, width), (top, left), (kept_height, kept_width) = resized.tolist(), offset.tolist(), window.tolist()
        return cropped(resized_window(placement, (height, width)), (top, left), (kept_height, kept_width))

    def largest(self, sizes: Sizes, buckets: Sequence[Bucket]) -> Sizes:
        """The only bucket; see `Transform.largest`."""
        return np.broadcast_to(np.array(buckets[0], np.int64), sizes.shape)

    def without_randomness(self) -> "ScaleJitter":
        """The largest size that fits the bucket."""
        return ScaleJitter(1.0, 1.0)


@dataclass(frozen=True)
class Flip(Transform):
    """Mirrors images, left and right exchanged."""

    probability: float = 0.5

    name: ClassVar = "flip"
    shares_generator: ClassVar = True

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_fraction(f"{where}.probability", self.probability)

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Draws whether to mirror; see `Transform.place`."""
        return placement._replace(flip=placement.flip ^ bool(rng.random() < self.probability))

    def without_randomness(self) -> "Flip | None":
        """None, unless its probability is 0."""
        return None if self.probability else self


@dataclass(frozen=True)
class RandomCrop(Transform):
    """Keeps a random part of the image with the same aspect ratio; objects at its edge are cut."""

    low: float = 0.5
    """Least share of each side that is kept; the greatest is 1."""
    probability: float = 1.0

    name: ClassVar = "random_crop"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require(0 < self.low <= 1, f"{where}.low", self.low, "must be above 0 and not above 1")
        require_fraction(f"{where}.probability", self.probability)

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Draws whether to crop, the size and the position; see `Transform.place`."""
        if rng.random() >= self.probability:
            return placement
        share = rng.uniform(self.low, 1)
        height, width = (max(round(side * share), 1) for side in placement.window)
        top, left = (
            int(rng.integers(0, before - side, endpoint=True))
            for before, side in zip(placement.window, (height, width), strict=True)
        )
        return cropped(placement, (top, left), (height, width))


@dataclass(frozen=True)
class Rotate90(Transform):
    """Rotates images by 90°, 180° or 270°, for images without an upright orientation, as of microscopes or satellites.

    Buckets must hold both orientations, so squares are best.
    """

    probability: float = 0.75
    """Of a rotation; the three angles are equally likely."""

    name: ClassVar = "rotate90"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_fraction(f"{where}.probability", self.probability)

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Draws whether to rotate, and the angle; see `Transform.place`."""
        if rng.random() >= self.probability:
            return placement
        turns = int(rng.integers(1, 4))
        # Rotating a mirrored image is the same as rotating the other way and mirroring then.
        return placement._replace(turns=(placement.turns + (-turns if placement.flip else turns)) % 4)

    def largest(self, sizes: Sizes, buckets: Sequence[Bucket]) -> Sizes:
        """Squares of the longer side; see `Transform.largest`."""
        return np.broadcast_to(sizes.max(axis=1, keepdims=True), sizes.shape)
