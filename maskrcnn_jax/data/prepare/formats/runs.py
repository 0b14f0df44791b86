"""Run-length codes made of runs: pixels counted column by column, as COCO counts them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as library
from jaxtyping import Int, UInt8

from maskrcnn_jax.masks.rle import decode_runs


def intervals(starts: Int[np.ndarray, " n"], stops: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """The union of intervals.

    Args:
        starts: First pixel of each, in any order.
        stops: The pixel behind the last of each; not before its start.

    Returns:
        Starts and stops in turn, ascending, each above the one before.
    """
    if (starts[1:] > stops[:-1]).all():  # Apart and in order already, which is most often so.
        filled = starts < stops
        return np.stack([starts[filled], stops[filled]], axis=1).ravel()
    bounds = np.concatenate([starts, stops])
    order = np.argsort(bounds, kind="stable")  # Starts go first where one interval begins as another ends.
    depth = np.cumsum(np.where(order < len(starts), 1, -1))
    opened = (order < len(starts)) & (depth == 1)
    borders = bounds[order][opened | (depth == 0)]
    return borders.reshape(-1, 2)[np.diff(borders.reshape(-1, 2)).ravel() > 0].ravel()


def runs_of(pixels: UInt8[np.ndarray, "h w"], left: int, top: int, height: int) -> Int[np.ndarray, " m"]:
    """Starts and stops in turn of the pixels that are not 0 in a part of an image of `height` pixels.

    Args:
        pixels: The part; lies inside the image.
        left: Column of its first pixel.
        top: Row of its first pixel.
        height: Of the image.
    """
    padded = np.zeros((pixels.shape[1], pixels.shape[0] + 1), np.int8)
    padded[:, :-1] = pixels.T != 0
    column, row = np.divmod(np.flatnonzero(np.diff(padded.ravel(), prepend=np.int8(0))), padded.shape[1])
    borders = (left + column) * height + top + row
    return intervals(borders[0::2], borders[1::2])


def encode_runs(runs: list[Int[np.ndarray, " m"]], size: tuple[int, int]) -> dict[str, Any]:
    """Codes a mask.

    Args:
        runs: Starts and stops in turn, in ascending pieces.
        size: (height, width) of the image.

    Returns:
        COCO run-length code `{"size": [H, W], "counts": str}`, ready for JSON.
    """
    height, width = size
    borders = np.concatenate([np.zeros(0, np.int64), *runs])
    # A run that ends where the next begins continues over the end of a column.
    joined = np.flatnonzero(borders[1:-1:2] == borders[2::2]) * 2 + 1
    borders = np.delete(borders, np.concatenate([joined, joined + 1]))
    if not borders.size or borders[-1] < height * width:
        borders = np.append(borders, height * width)
    counts = np.diff(borders, prepend=0).tolist()
    coded = library.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": coded["counts"].decode("ascii")}


def union(codes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The code of the union of masks over the same image.

    The library's `merge` takes seconds for masks of tens of thousands of runs.
    """
    if len(codes) == 1:
        return codes[0]
    height, width = codes[0]["size"]
    ends = [np.cumsum(decode_runs(code["counts"].encode("ascii"), (height, width))) for code in codes]
    starts = np.concatenate([end[: len(end) // 2 * 2 : 2] for end in ends])
    stops = np.concatenate([end[1::2] for end in ends])
    return encode_runs([intervals(starts, stops)], (height, width))


def is_empty(code: dict[str, Any]) -> bool:
    """Whether a mask has no pixel."""
    return not library.area(code)
