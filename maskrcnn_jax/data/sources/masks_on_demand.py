"""Masks of a stored data set, made on access."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from maskrcnn_jax.masks.rle import decode_mask


class RunLengthMasks(Sequence[np.ndarray]):
    """Masks that are decoded on access, `[H, W]` uint8 each."""

    def __init__(self, counts: Sequence[bytes], size: tuple[int, int]):
        self.counts = counts
        self.size = size

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # it is never sliced
        return decode_mask(self.counts[index], self.size)


class FilledBoxes(Sequence[np.ndarray]):
    """Masks for a data set that has none: the pixels that each box touches, `[H, W]` uint8 each."""

    def __init__(self, boxes: Float[np.ndarray, "n 4"], size: tuple[int, int]):
        self.boxes = boxes
        self.size = size

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # it is never sliced
        (left, top), (right, bottom) = (
            np.floor(self.boxes[index, :2]).astype(int),
            np.ceil(self.boxes[index, 2:]).astype(int),
        )
        mask = np.zeros(self.size, np.uint8)
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
        return mask
