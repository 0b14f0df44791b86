"""The random generators of one image of one batch."""

import zlib
from typing import cast

import numpy as np

from maskrcnn_jax.data.transforms.transform import Transform


class Generators:
    """A generator that transforms share, and a separate one for each transform that declares it.

    Args:
        shared: Of the image's slot (`order.slot_rng`); consumed. The others derive from its seed and consume nothing.
    """

    def __init__(self, shared: np.random.Generator):
        self.shared = shared
        self._own: dict[str, np.random.Generator] = {}

    def of(self, transform: Transform) -> np.random.Generator:
        """The generator that a transform draws from; the same at every call."""
        if transform.shares_generator:
            return self.shared
        if transform.name not in self._own:
            seed = cast(np.random.SeedSequence, self.shared.bit_generator.seed_seq)
            key = (*seed.spawn_key, zlib.crc32(transform.name.encode()))
            self._own[transform.name] = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=key))
        return self._own[transform.name]
