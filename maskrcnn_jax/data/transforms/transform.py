"""The extension point of augmentation: what may happen to an image and its objects on the way into a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Integer, UInt8

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.placement import Bucket, Placement
from maskrcnn_jax.extension import Value


@dataclass(frozen=True)
class Transform(Value):
    """A step of augmentation: geometry (`place`), pixels (`recolor`), or objects of another image (`mix`).

    All geometry comes first, in the order of the tuple, and is carried out once: so masks are sampled once. Then
    objects of other images are mixed in, then pixels change. A subclass overrides what it needs.

    Declares, as a field, property or class attribute:
        name: a Python identifier of its own in the tuple; `--data.transforms.<name>.…` on the command line.
    """

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...

    shares_generator: ClassVar[bool] = False
    """Draws from the one generator of the image, in the order of the tuple; others have a generator of their own, of
    (seed, step, slot, name), so that adding them changes nothing that the rest draws."""
    needs_masks: ClassVar[bool] = False

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Changes where an image gets on its canvas.

        Args:
            placement: what the transforms before made of it.
            bucket: padded (height, width), which must hold what is shown in the end.
            rng: decides everything random; consumed.
        """
        return placement

    def largest(self, sizes: Integer[np.ndarray, "n 2"], buckets: Sequence[Bucket]) -> Integer[np.ndarray, "n 2"]:
        """The largest sizes that `place` gives images of these sizes, `(height, width)`; it decides about buckets."""
        return sizes

    def check_buckets(self, where: str, buckets: Sequence[Bucket]) -> None:
        """Checks that the padded sizes fit what the transform makes.

        Args:
            where: dotted name of the transform, for messages.
            buckets: of the data.

        Raises:
            ConfigError: they do not.
        """

    def recolor(self, image: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
        """Changes the pixels of an image on its canvas, padding included, which the device zeroes."""
        return image

    def mixes(self, rng: np.random.Generator) -> bool:
        """Whether an image gets another of its bucket to mix with; decided before everything else."""
        return False

    def mix(self, example: Example, other: Example, rng: np.random.Generator) -> Example:
        """Mixes two images, each placed by itself."""
        raise NotImplementedError

    def without_randomness(self) -> "Transform | None":
        """The transform with nothing random, None where nothing is left: for looking at data."""
        return None
