"""The images of each training batch: a pure function of (seed, step)."""

import threading
from collections.abc import Sequence

import numpy as np

ORDER, SLOT = range(2)
"""Second word of the random seeds, so that the two kinds of streams never coincide."""


class TrainOrder:
    """Divides the images of each group into batches, epoch after epoch.

    A batch holds images of one group only (one bucket, one compiled shape). In every epoch each group is shuffled,
    filled up to whole batches by starting over, and the batches of all groups are shuffled.

    Args:
        groups: Image indices of each group, `[n]` integers; none is empty.
        batch_size: Images per batch.
        seed: At least 0.
    """

    def __init__(self, groups: Sequence[np.ndarray], batch_size: int, seed: int):
        self.groups = groups
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = sum(-(-len(group) // batch_size) for group in groups)
        self._lock = threading.Lock()
        self._batches: dict[int, np.ndarray] = {}

    def batch(self, step: int) -> np.ndarray:
        """Returns the `[batch_size]` image indices of the batch of `step` ≥ 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        with self._lock:
            if epoch not in self._batches:
                # Reader threads read neighbouring steps, so at most two epochs are in use.
                self._batches = {e: batches for e, batches in self._batches.items() if abs(e - epoch) <= 1}
                self._batches[epoch] = self._epoch(epoch)
            return self._batches[epoch][position]

    def _epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, ORDER, epoch))
        batches = []
        for group in self.groups:
            count = -(-len(group) // self.batch_size)
            batches.append(np.resize(rng.permutation(group), (count, self.batch_size)))
        return rng.permutation(np.concatenate(batches))


def slot_rng(seed: int, step: int, slot: int) -> np.random.Generator:
    """The generator for everything random about one image of one batch."""
    return np.random.default_rng((seed, SLOT, step, slot))
