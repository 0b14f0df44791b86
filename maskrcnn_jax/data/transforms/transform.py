"""The extension point of augmentation."""

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

    All geometry comes first, in the order of the tuple, and is applied once, so that masks are sampled once. Then
    objects of other images are mixed in, then pixels change. A subclass overrides the methods it needs.

    Declares, as a field, property or class attribute:
        name: a Python identifier of its own in the tuple; `--data.transforms.<name>.…` on the command line.
        needs_masks: a data set without masks is an error; False by default.
        shares_generator: draws from the image's shared generator, in the order of the tuple. By default it has its own
            generator of (seed, step, slot, name), so that adding it does not change what the rest draws.
    """

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...

    shares_generator: ClassVar[bool] = False
    needs_masks: ClassVar[bool] = False

    def place(self, placement: Placement, bucket: Bucket, rng: np.random.Generator) -> Placement:
        """Changes the placement of an image on its canvas.

        Args:
            placement: the result of the transforms before.
            bucket: padded (height, width), which must hold the final window.
            rng: decides everything random; consumed.
        """
        return placement

    def largest(self, sizes: Integer[np.ndarray, "n 2"], buckets: Sequence[Bucket]) -> Integer[np.ndarray, "n 2"]:
        """The largest sizes that `place` gives images of these sizes, `(height, width)`; buckets are chosen by it."""
        return sizes

    def check_buckets(self, where: str, buckets: Sequence[Bucket]) -> None:
        """Checks that the padded sizes fit the transform's results.

        Args:
            where: dotted name of the transform, for messages.
            buckets: of the data.

        Raises:
            ConfigError: they do not.
        """

    def recolor(self, image: UInt8[np.ndarray, "H W 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
        """Changes the pixels of an image on its canvas; the padding, too, which is zeroed on the device."""
        return image

    def mixes(self, rng: np.random.Generator) -> bool:
        """Draws whether to mix with another image of the bucket; called before everything else is drawn."""
        return False

    def mix(self, example: Example, other: Example, rng: np.random.Generator) -> Example:
        """Mixes two images after their placements were applied."""
        raise NotImplementedError

    def without_randomness(self) -> "Transform | None":
        """The transform without randomness, None if nothing is left; for inspection of data."""
        return None
