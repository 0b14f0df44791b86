"""Array layouts of other systems: functions from the source layout to this package's, and back."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Layout(Protocol):
    """The layout of an array in another system."""

    def read(self, source: np.ndarray) -> np.ndarray:
        """Converts a source array to this package's layout."""

    def write(self, array: np.ndarray) -> np.ndarray:
        """Converts an array to the source layout: the inverse of `read`."""


class Same(NamedTuple):
    """The same layout."""

    def read(self, source: np.ndarray) -> np.ndarray:
        return source

    def write(self, array: np.ndarray) -> np.ndarray:
        return array


class Axes(NamedTuple):
    """Axes in another order: `(2, 3, 1, 0)` makes PyTorch's OIHW kernels HWIO, `(1, 0)` its linear layers."""

    order: tuple[int, ...]

    def read(self, source: np.ndarray) -> np.ndarray:
        return source.transpose(self.order)

    def write(self, array: np.ndarray) -> np.ndarray:
        return array.transpose(np.argsort(self.order))


class FlattenedChannelsFirst(NamedTuple):
    """A linear layer `[outputs, channels · side · side]` on a channels-first square; here it is channels-last."""

    side: int

    def read(self, source: np.ndarray) -> np.ndarray:
        return source.reshape(len(source), -1, self.side, self.side).transpose(2, 3, 1, 0).reshape(-1, len(source))

    def write(self, array: np.ndarray) -> np.ndarray:
        outputs = array.shape[-1]
        return array.reshape(self.side, self.side, -1, outputs).transpose(3, 2, 0, 1).reshape(outputs, -1)


class TransposedConv(NamedTuple):
    """PyTorch's 2×2 transposed convolution `[inputs, outputs, 2, 2]`; here it is `[1, 1, inputs, 2 · 2 · outputs]`."""

    def read(self, source: np.ndarray) -> np.ndarray:
        inputs, outputs = source.shape[:2]
        return source.transpose(0, 2, 3, 1).reshape(1, 1, inputs, 4 * outputs)

    def write(self, array: np.ndarray) -> np.ndarray:
        inputs = array.shape[2]
        return array.reshape(inputs, 2, 2, -1).transpose(0, 3, 1, 2)


class BackgroundFirst(NamedTuple):
    """Outputs per class with background before the classes, on the first axis; here it comes last, on the last axis."""

    layout: Layout
    """Of everything else."""
    values: int = 1
    """Outputs per class: 4 for boxes."""

    def read(self, source: np.ndarray) -> np.ndarray:
        return self.layout.read(np.roll(source, -self.values, axis=0))

    def write(self, array: np.ndarray) -> np.ndarray:
        return np.roll(self.layout.write(array), self.values, axis=0)


class NoBackground(NamedTuple):
    """Outputs per class with background before the classes, on the first axis; here there is none for background.

    What is written for background is zero.
    """

    layout: Layout
    """Of everything else."""
    values: int = 1
    """Outputs per class: 4 for boxes."""

    def read(self, source: np.ndarray) -> np.ndarray:
        return self.layout.read(source[self.values :])

    def write(self, array: np.ndarray) -> np.ndarray:
        classes = self.layout.write(array)
        return np.concatenate([np.zeros_like(classes[: self.values]), classes])
