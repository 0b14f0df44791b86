"""Small valid data sets of every format, as the tools write them."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle
from PIL import Image

SIZE = (24, 32)
"""(height, width) of the images."""
NAMES = ("a.jpg", "b.png", "c.jpg")
SQUARE = [4.0, 5.0, 14.0, 5.0, 14.0, 15.0, 4.0, 15.0]


def image(name: str, orientation: int = 1) -> bytes:
    """An encoded image with structure."""
    y, x = np.indices(SIZE)
    values = np.stack([y * 9, x * 7, y + x], axis=-1).astype(np.uint8)
    content, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(content, "JPEG" if name.endswith("jpg") else "PNG", exif=exif.tobytes())
    return content.getvalue()


def put(path: Path, data: bytes | Any) -> None:
    """Writes bytes, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def disc() -> np.ndarray:
    y, x = np.indices(SIZE)
    return ((y - 12) ** 2 + (x - 20) ** 2 < 25).astype(np.uint8)


def png(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    return content.getvalue()


def coco_content(rng: Random, names: tuple[str, ...]) -> dict[str, Any]:
    """Polygons, uncompressed and compressed run-length code, a crowd."""
    height, width = SIZE
    coded = rle.encode(np.asfortranarray(disc()))
    # The first pixel is outside, so the first run is one of zeros.
    counts = np.diff(np.flatnonzero(np.diff(disc().flatten("F"), prepend=-1, append=-1))).tolist()
    shapes: list[Any] = [
        ([SQUARE], [4, 5, 10, 10]),
        ({"size": [height, width], "counts": counts}, [15, 7, 10, 10]),
        ({"size": [height, width], "counts": coded["counts"].decode()}, [15, 7, 10, 10]),
        ([SQUARE, [20, 2, 26, 2, 26, 8]], [4, 2, 22, 13]),
    ]
    annotations = []
    for number, (segmentation, box) in enumerate(shapes * 2):
        annotations.append(
            {
                "id": number + 1,
                "image_id": 1 + number % len(names),
                "category_id": 1 + number % 2,
                "bbox": box,
                "area": 80.0,
                "iscrowd": int(isinstance(segmentation, dict) and number == 1),
                "segmentation": segmentation,
            }
        )
    images = [{"id": i + 1, "file_name": name, "height": height, "width": width} for i, name in enumerate(names)]
    categories = [{"id": 1, "name": "cat", "supercategory": ""}, {"id": 2, "name": "dog", "supercategory": ""}]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def coco(rng: Random, folder: Path) -> None:
    layout, content = rng.randrange(4), coco_content(rng, NAMES)
    if layout == 0:
        put(folder / "annotations" / "instances_train.json", content)
        folders = [folder / "train"]
    elif layout == 1:  # Roboflow
        put(folder / "train" / "_annotations.coco.json", content)
        put(folder / "valid" / "_annotations.coco.json", content)
        folders = [folder / "train", folder / "valid"]
    elif layout == 2:  # Label Studio
        for entry in content["images"]:
            entry["file_name"] = f"images\\{entry['file_name']}"
        put(folder / "result.json", content)
        folders = [folder / "images"]
    else:  # CVAT
        put(folder / "annotations" / "instances_default.json", content)
        folders = [folder / "images" / "default"]
    for images in folders:
        for name in NAMES:
            put(images / name, image(name, rng.choice([1, 1, 3, 6])))


def labelme(rng: Random, folder: Path) -> None:
    part = {"label": "cat", "group_id": None, "flags": {}, "description": ""}
    shapes = [
        {**part, "shape_type": "polygon", "points": [SQUARE[i : i + 2] for i in range(0, 8, 2)]},
        {**part, "shape_type": "rectangle", "points": [[2, 2], [9, 9]], "label": "dog", "group_id": 3},
        {**part, "shape_type": "circle", "points": [[20, 12], [24, 12]]},
        {**part, "shape_type": "mask", "points": [[15, 7], [25, 17]],
         "mask": base64.b64encode(png(disc()[7:18, 15:26] * 255)).decode()},
        {**part, "shape_type": "oriented_rectangle", "points": [[2, 2], [9, 2], [9, 9], [2, 9]]},
        {**part, "shape_type": "line", "points": [[2, 2], [9, 9]]},
    ]  # fmt: skip
    for name in NAMES:
        data = image(name, rng.choice([1, 1, 6]))
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": rng.sample(shapes, 4),
            "imagePath": name,
            "imageData": base64.b64encode(data).decode() if rng.random() < 0.5 else None,
            "imageHeight": SIZE[0],
            "imageWidth": SIZE[1],
        }
        put(folder / f"{name[:-4]}.json", content)
        if content["imageData"] is None or rng.random() < 0.7:
            put(folder / name, data)


def via(rng: Random, folder: Path) -> None:
    shapes = [
        {"name": "polygon", "all_points_x": [4, 14, 14, 4], "all_points_y": [5, 5, 15, 15]},
        {"name": "rect", "x": 2, "y": 2, "width": 7, "height": 7},
        {"name": "circle", "cx": 20, "cy": 12, "r": 4.5},
        {"name": "ellipse", "cx": 20, "cy": 12, "rx": 4, "ry": 6, "theta": 0.5},
        {"name": "polyline", "all_points_x": [4, 14], "all_points_y": [5, 5]},
    ]
    content: dict[str, Any] = {}
    for name in NAMES:
        regions = [
            {"shape_attributes": shape, "region_attributes": {"class": rng.choice(["cat", "dog"]), "note": ""}}
            for shape in rng.sample(shapes, 3)
        ]
        data = image(name, rng.choice([1, 1, 6]))
        put(folder / name, data)
        listed = {str(i): region for i, region in enumerate(regions)} if rng.random() < 0.3 else regions
        entry = {"filename": name, "size": len(data), "regions": listed, "file_attributes": {}}
        content[f"{name}{len(data)}"] = entry
    if rng.random() < 0.4:
        content = {"_via_settings": {}, "_via_img_metadata": content, "_via_attributes": {"region": {}, "file": {}}}
    put(folder / "via_region_data.json", content)


def voc(rng: Random, folder: Path) -> None:
    objects = [("cat", (5, 6, 14, 15)), ("dog", (16, 8, 25, 17))]
    for name in NAMES:
        stem = name[:-4]
        lines = [
            f"<annotation><folder>VOC</folder><filename>{name}</filename><size><width>{SIZE[1]}</width>"
            f"<height>{SIZE[0]}</height><depth>3</depth></size><segmented>0</segmented>"
        ]
        for label, (x0, y0, x1, y1) in objects:
            polygon = "<polygon><x1>5</x1><y1>6</y1><x2>14</x2><y2>6</y2><x3>14</x3><y3>15</y3></polygon>"
            lines.append(
                f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
                f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>{polygon if rng.random() < 0.2 else ''}</object>"
            )
        put(folder / "Annotations" / f"{stem}.xml", "\n".join([*lines, "</annotation>"]).encode())
        put(folder / "JPEGImages" / name, image(name))
    if rng.random() < 0.5:
        labels = np.zeros(SIZE, np.uint8)
        labels[5:15, 4:14] = 1
        labels[disc() > 0] = 2
        for name in NAMES:
            put(folder / "SegmentationObject" / f"{name[:-4]}.png", png(labels))
        put(folder / "ImageSets" / "Segmentation" / "train.txt", b"a\nb\nc\n")


def masks(rng: Random, folder: Path) -> None:
    square = np.zeros(SIZE, np.uint8)
    square[5:15, 4:14] = 1
    if rng.random() < 0.5:
        for name in NAMES:
            one = folder / name[:-4]
            put(one / "images" / name, image(name))
            put(one / "masks" / "cell" / "1.png", png(square * 255))
            put(one / "masks" / "nucleus" / "2.png", png(disc() * 255))
    else:
        for name in NAMES:
            put(folder / "images" / name, image(name))
            put(folder / "masks" / f"{name[:-4]}.png", png((square + 2 * disc()).astype(np.uint8)))


FORMATS: dict[str, Callable[[Random, Path], None]] = {
    "coco": coco,
    "labelme": labelme,
    "via": via,
    "voc": voc,
    "masks": masks,
}
