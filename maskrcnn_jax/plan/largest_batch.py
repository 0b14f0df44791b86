"""The largest batch that fits a device."""

from collections.abc import Callable

MOST = 6
"""Batches that are looked at: each is compiled, which takes minutes."""


def look_for_largest(needed: Callable[[int], int], memory: int, first: int) -> dict[int, int]:
    """Looks for the largest batch that fits.

    Memory grows with the batch nearly along a line, on which compilers order their work a little better or worse. After
    the first batch and one of twice or half its size comes the batch that the line through the smallest and the largest
    says is the answer, and so on until it was looked at itself.

    Args:
        needed: bytes for so many images; called a few times.
        memory: bytes there are.
        first: the batch to begin with, at least 1.

    Returns:
        Bytes needed for each batch that was looked at. The largest that needs at most `memory` is the answer; not even
        one image fits if there is none.
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
