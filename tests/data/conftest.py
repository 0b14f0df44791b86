"""Tiny COCO-format data sets for the tests of this folder."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

WriteCoco = Callable[..., Path]


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth RGB image, so that JPEG changes it little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def encode(image: np.ndarray, suffix: str) -> bytes:
    """An RGB image as a file."""
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def written(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    """An image as Pillow writes it."""
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return file.getvalue()


def square(annotation_id: int, image_id: int, category_id: int, x: float, y: float, side: float, **fields) -> dict:
    """An annotation of a square object, as a polygon."""
    corners = [x, y, x + side, y, x + side, y + side, x, y + side]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x, y, side, side],
        "area": side * side,
        "iscrowd": 0,
        "segmentation": [corners],
        **fields,
    }


def instances(annotations: list[dict], images: int = 3, size: tuple[int, int] = (40, 60)) -> dict:
    """An annotation file of `images` images with ids 10, 20, … and two categories with a gap between their ids."""
    return {
        "images": [
            {"id": 10 * i, "file_name": f"{10 * i:03d}.png", "height": size[0], "width": size[1]}
            for i in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


@pytest.fixture
def write_coco(tmp_path: Path) -> WriteCoco:
    """Writes `tmp_path/coco` with one split per keyword: name=instances dictionary, and its images."""

    def write(**splits: dict) -> Path:
        folder = tmp_path / "coco"
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        for name, content in splits.items():
            (folder / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
            (folder / name).mkdir(exist_ok=True)
            for image in content["images"]:
                pixels = make_image(image["height"], image["width"], image["id"])
                path = folder / name / image["file_name"]
                path.write_bytes(encode(pixels, path.suffix))
        return folder

    return write
