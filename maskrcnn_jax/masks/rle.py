"""COCO's run-length code of binary masks: runs of 0 and 1 in turn, column by column, and their compressed form."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as library
from jaxtyping import Int64, UInt8

DIGIT, SIGN, MORE = 0b011111, 0b010000, 0b100000
"""Bits of a character, after subtracting 48: five of the value, lowest first, and whether more follow."""

LONGEST = 7
"""Characters of a number: 35 bits, more than the length of any run and the difference of any two in 32 bits."""


def encode_mask(mask: UInt8[np.ndarray, "H W"]) -> dict[str, Any]:
    """Codes a mask in {0, 1} as `{"size": [H, W], "counts": str}`, ready for JSON."""
    coded = library.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": coded["counts"].decode("ascii")}


def encode_runs(runs: Sequence[int], size: tuple[int, int]) -> bytes:
    """Compresses runs that cover `size` = (height, width)."""
    return library.frPyObjects({"size": list(size), "counts": runs}, *size)["counts"]


def decode_runs(counts: bytes, size: tuple[int, int]) -> Int64[np.ndarray, " n"]:
    """Decodes compressed counts to the lengths of their runs, the first of zeros, without building the mask.

    Raises:
        ValueError: It is no such code, or its runs do not cover `size` = (height, width) exactly; the message says
            which.
    """
    characters = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if characters.size and not (characters.min() >= 0 and characters.max() < 64):
        raise ValueError("holds characters that compressed run-length code does not have")
    last = np.flatnonzero((characters & MORE) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if not lengths.size or lengths.sum() != characters.size:
        raise ValueError("ends within a number" if characters.size else "is empty")
    if lengths.max() > LONGEST:
        raise ValueError(f"holds a number of {lengths.max()} characters; run lengths have {LONGEST} at most")
    shifts = 5 * (np.arange(characters.size) - np.repeat(first, lengths))
    runs = np.add.reduceat((characters & DIGIT) << shifts, first)
    runs -= np.where(characters[last] & SIGN, 1 << (5 * lengths), 0)
    # From the fourth on, each run is coded as its difference to the last but one.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    height, width = size
    pixels = height * width
    if runs.min() < 0:
        raise ValueError("holds a run of negative length")
    # Before the sum, which long runs could carry beyond 64 bits.
    if runs.max() > pixels or runs.sum() != pixels:
        raise ValueError(f"covers {sum(runs.tolist())} pixels, not {height}×{width} = {pixels}")
    return runs


def decode_mask(counts: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Decodes compressed counts over `size` = (height, width) to a mask in {0, 1}.

    Done in NumPy because training does it for every object it sees: the libraries take 4 to 12 times as long.

    Raises:
        ValueError: The runs do not cover the mask exactly.
    """
    try:
        runs = decode_runs(counts, size)
    except ValueError as error:
        raise ValueError(f"run-length code {error}") from error
    height, width = size
    return np.repeat(np.arange(runs.size, dtype=np.uint8) & 1, runs).reshape(width, height).T


def extent(runs: Int64[np.ndarray, " n"], height: int) -> tuple[int, int, int, int] | None:
    """The box `(x0, y0, x1, y1)` around the pixels of a mask, given by its runs; None if it has none."""
    ends = np.cumsum(runs)
    start, stop = ends[:-1:2], ends[1::2] - 1  # of each run of ones: its first and its last pixel
    start, stop = start[stop >= start], stop[stop >= start]
    if not start.size:
        return None
    columns, top, bottom = start // height, start % height, stop % height
    turns = columns != stop // height  # A run over two columns or more touches the lower and the upper edge.
    y0, y1 = (0, height) if turns.any() else (top.min(), bottom.max() + 1)
    return int(columns.min()), int(y0), int(stop.max() // height) + 1, int(y1)
