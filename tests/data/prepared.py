"""Small data sets in the formats of annotation tools, and what `prepare` makes of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from conftest import encode, make_image
from PIL import Image

from maskrcnn_jax.config import CocoSource
from maskrcnn_jax.data import Example
from maskrcnn_jax.data.prepare.run import prepare


def write_image(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(make_image(height, width), path.suffix))


STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""What a camera stores that is held in each of EXIF's orientations: its viewer undoes this."""


def write_turned(path: Path, upright: np.ndarray, orientation: int | None) -> None:
    """A gray image that viewers show as `upright`; without the tag if the orientation is None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tag = Image.Exif()
    tag[0x0112] = orientation or 1
    pixels = np.ascontiguousarray(STORED[orientation or 1](upright))
    Image.fromarray(pixels).save(path, exif=tag if orientation else b"", quality=95)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def pixels(text: str) -> np.ndarray:
    """A mask drawn in characters: `#` is inside."""
    return np.array([[character == "#" for character in line] for line in text.split()], np.uint8)


def block(size: tuple[int, int], y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[y, x] = 1
    return mask


def prepared(folder: Path, split: str = "train", **options: Any) -> tuple[tuple[str, ...], list[Example]]:
    """Prepares a data set and opens one of its splits: class names and every example."""
    out = folder.parent / "prepared"
    prepare(folder, out, **options)
    source = CocoSource(out, split, keep_empty=True).open()
    return source.class_names, [source[index] for index in range(len(source))]


def mean_under(example: Example, number: int = 0) -> float:
    """The mean value of the image under the mask of an object."""
    return float(example.image[example.masks[number] > 0].mean())


def assert_objects(example: Example, classes: tuple[str, ...], expected: list[tuple[str, np.ndarray]]) -> None:
    """Each object's class and mask, in order; boxes must be the masks' extents."""
    assert [classes[label] for label in example.labels] == [name for name, _ in expected]
    for mask, (_, wanted) in zip(example.masks, expected, strict=True):
        np.testing.assert_array_equal(mask, wanted)
    for box, (_, mask) in zip(example.boxes, expected, strict=True):
        y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        np.testing.assert_array_equal(box, [x[0], y[0], x[-1] + 1, y[-1] + 1])
