"""Image grids, and PNG files."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.files.writing import write_bytes


def image_grid(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], columns: int, *, gap: int = 8
) -> UInt8[np.ndarray, "H W 3"]:
    """Arranges images in a grid on white, row by row; smaller ones are centred in their cell.

    Args:
        images: RGB, at least one.
        columns: Images in a row.
        gap: Space between and around them, pixels.
    """
    if not images or columns < 1:
        raise ValueError(f"a grid of {len(images)} images in {columns} columns: give at least one of each")
    grid = [images[start : start + columns] for start in range(0, len(images), columns)]
    width = max(image.shape[1] for image in images) + gap
    heights = [max(image.shape[0] for image in row) + gap for row in grid]
    canvas = np.full((sum(heights) + gap, len(grid[0]) * width + gap, 3), 255, np.uint8)
    top = gap
    for row, height in zip(grid, heights, strict=True):
        for column, image in enumerate(row):
            y = top + (height - gap - image.shape[0]) // 2
            x = gap + column * width + (width - gap - image.shape[1]) // 2
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
        top += height
    return canvas


def save_png(path: Path | str, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes an RGB image as PNG; see `save_image`."""
    require_ending(Path(path), (".png",), "a PNG")
    save_image(path, image)


def save_image(path: Path | str, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes an RGB image; the file is written atomically.

    Args:
        path: The file, NAME.png or NAME.jpg; its folder is made if there is none.
        image: RGB.

    Raises:
        WrongEnding: The path has another ending.
        OSError: The file cannot be written.
    """
    path = Path(path)
    require_ending(path, (".png", ".jpg", ".jpeg"), "a PNG or JPEG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, encode(image, path.suffix))


def encode(image: UInt8[np.ndarray, "h w 3"], ending: str) -> bytes:
    """The bytes of an RGB image's file, .png or .jpg."""
    return cv2.imencode(ending, image[..., ::-1])[1].tobytes()
