"""How other systems lay out the same numbers: functions from their array to ours, and back."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Layout(Protocol):
    """A way to lay out an array."""

    def read(self, theirs: np.ndarray) -> np.ndarray:
        """Their array in our layout."""

    def write(self, ours: np.ndarray) -> np.ndarray:
        """Our array in their layout: what `read` undoes."""


class Same(NamedTuple):
    """The same layout."""

    def read(self, theirs: np.ndarray) -> np.ndarray:
        return theirs

    def write(self, ours: np.ndarray) -> np.ndarray:
        return ours


class Axes(NamedTuple):
    """Axes in another order: `(2, 3, 1, 0)` makes PyTorch's OIHW kernels HWIO, `(1, 0)` its linear layers."""

    order: tuple[int, ...]

    def read(self, theirs: np.ndarray) -> np.ndarray:
        return theirs.transpose(self.order)

    def write(self, ours: np.ndarray) -> np.ndarray:
        return ours.transpose(np.argsort(self.order))


class FlattenedChannelsFirst(NamedTuple):
    """A linear layer `[outputs, channels · side · side]` on a channels-first square; ours is on a channels-last one."""

    side: int

    def read(self, theirs: np.ndarray) -> np.ndarray:
        return theirs.reshape(len(theirs), -1, self.side, self.side).transpose(2, 3, 1, 0).reshape(-1, len(theirs))

    def write(self, ours: np.ndarray) -> np.ndarray:
        outputs = ours.shape[-1]
        return ours.reshape(self.side, self.side, -1, outputs).transpose(3, 2, 0, 1).reshape(outputs, -1)


class TransposedConv(NamedTuple):
    """PyTorch's 2×2 transposed convolution `[inputs, outputs, 2, 2]`; ours is `[1, 1, inputs, 2 · 2 · outputs]`."""

    def read(self, theirs: np.ndarray) -> np.ndarray:
        inputs, outputs = theirs.shape[:2]
        return theirs.transpose(0, 2, 3, 1).reshape(1, 1, inputs, 4 * outputs)

    def write(self, ours: np.ndarray) -> np.ndarray:
        inputs = ours.shape[2]
        return ours.reshape(inputs, 2, 2, -1).transpose(0, 3, 1, 2)


class BackgroundFirst(NamedTuple):
    """Outputs per class with background before the classes, on the first axis; ours come after, on the last axis."""

    layout: Layout
    """Of everything else."""
    values: int = 1
    """Outputs per class: 4 for boxes."""

    def read(self, theirs: np.ndarray) -> np.ndarray:
        return self.layout.read(np.roll(theirs, -self.values, axis=0))

    def write(self, ours: np.ndarray) -> np.ndarray:
        return np.roll(self.layout.write(ours), self.values, axis=0)


class NoBackground(NamedTuple):
    """Outputs per class with background before the classes, on the first axis; we have none for background.

    What is written for background is zero.
    """

    layout: Layout
    """Of everything else."""
    values: int = 1
    """Outputs per class: 4 for boxes."""

    def read(self, theirs: np.ndarray) -> np.ndarray:
        return self.layout.read(theirs[self.values :])

    def write(self, ours: np.ndarray) -> np.ndarray:
        classes = self.layout.write(ours)
        return np.concatenate([np.zeros_like(classes[: self.values]), classes])
