"""The largest batch that fits a device."""

from collections.abc import Callable

MOST = 6
"""Batch sizes that are tried, at most: each is compiled, which takes minutes."""


def find_largest_batch(needed: Callable[[int], int], memory: int, first: int) -> dict[int, int]:
    """Finds the largest batch that fits.

    Memory grows nearly linearly with the batch. After the first batch and one of twice or half its size, each next one
    is extrapolated from the line through the smallest and the largest that were tried, until it has been tried itself.

    Args:
        needed: bytes that a number of images takes; called a few times.
        memory: bytes that are available.
        first: the batch to begin with, at least 1.

    Returns:
        Bytes needed for each batch that was tried. The result is the largest that needs at most `memory`; if there is
        none, not even one image fits.
    """
    seen: dict[int, int] = {}
    images = first
    while True:
        seen[images] = needed(images)
        fits = max((n for n, size in seen.items() if size <= memory), default=0)
        over = min((n for n, size in seen.items() if size > memory), default=None)
        if len(seen) == 1:
            images = 2 * first if fits else first // 2
        else:
            few, many = min(seen), max(seen)
            slope = (seen[many] - seen[few]) / (many - few)
            images = few + int((memory - seen[few]) // slope) if slope > 0 else 2 * many
        if over is not None:
            images = min(images, over - 1)
        images = max(images, fits, 1)
        if images in seen or len(seen) == MOST:
            return seen
