"""Images in files, and several as one."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.files.writing import write_bytes


def sheet(pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], columns: int, *, gap: int = 8) -> UInt8[np.ndarray, "H W 3"]:
    """Lays pictures out row by row on white; smaller ones are centred in their cell.

    Args:
        pictures: RGB, at least one.
        columns: Pictures in a row.
        gap: Space between and around them, pixels.
    """
    if not pictures or columns < 1:
        raise ValueError(f"sheet of {len(pictures)} pictures in {columns} columns: give at least one of each")
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    width = max(picture.shape[1] for picture in pictures) + gap
    heights = [max(picture.shape[0] for picture in row) + gap for row in rows]
    canvas = np.full((sum(heights) + gap, len(rows[0]) * width + gap, 3), 255, np.uint8)
    top = gap
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            y = top + (height - gap - picture.shape[0]) // 2
            x = gap + column * width + (width - gap - picture.shape[1]) // 2
            canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        top += height
    return canvas


def save_png(path: Path | str, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes an RGB picture; the file is complete or is not there.

    Args:
        path: The file, NAME.png; its folder is made if there is none.
        image: RGB.

    Raises:
        WrongEnding: The path has another ending.
        OSError: The file cannot be written.
    """
    path = Path(path)
    require_ending(path, (".png",), "a PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())
