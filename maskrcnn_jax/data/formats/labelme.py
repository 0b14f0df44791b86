"""labelme: one JSON file per picture.

Points are continuous: labelme keeps where the mouse was on the picture, unrounded. Shapes of one label and `group_id`
are parts of one object, as in labelme's own conversion to COCO (`labelme2coco.py`); a mask's two points are the numbers
of its first and last pixel (`shapes_to_label`).
"""

import base64
import io
import math
from collections.abc import Hashable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskrcnn_jax.data.formats.layout import find_picture, json_files, read_json, relative
from maskrcnn_jax.data.formats.outlines import fill_box, fill_ellipse, fill_polygon
from maskrcnn_jax.data.formats.picture import UNREADABLE, Findings, Outlined, Picture
from maskrcnn_jax.data.image_file import StoredFile

NO_AREA = ("line", "linestrip", "point", "points")


def is_labelme(content: Any) -> bool:
    """Whether a JSON is labelme's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read(folders: Mapping[str, Path], root: Path, images: Path | None, findings: Findings) -> dict[str, list[Picture]]:
    """Reads every labelme file of each split.

    Args:
        folders: The folder of each split, searched with its subfolders, or a file.
        root: What file names are relative to.
        images: Folder of the pictures, if they are not where the files say.
        findings: Notes problems; JSON files of others are left out.
    """
    return {
        split: [
            picture for path in json_files(folder) if (picture := read_file(path, root, images, findings)) is not None
        ]
        for split, folder in folders.items()
    }


def read_file(path: Path, root: Path, images: Path | None, findings: Findings) -> Picture | None:
    """Reads one file; None if it is not labelme's, or its picture cannot be used, which is noted."""
    content = read_json(path)
    if not is_labelme(content):
        findings.warnings.add("left out JSON files that labelme did not write", str(path))
        return None
    # labelme on Windows writes backslashes.
    name = PureWindowsPath(str(content["imagePath"])).as_posix()
    picture = images / Path(name).name if images else find_picture(name, [path.parent])
    stored = findings.size_of(picture)
    if stored is None:
        return None
    annotated = content.get("imageHeight"), content.get("imageWidth")
    size = annotated if all(isinstance(side, int) and side > 0 for side in annotated) else stored
    objects = read_shapes(content["shapes"], size, str(path), findings)
    return Picture(relative(picture, root), size, objects, StoredFile(picture), upright=True)


def read_shapes(shapes: list[Any], size: tuple[int, int], name: str, findings: Findings) -> list[Outlined]:
    """The objects of one picture."""
    masks: dict[tuple[str, Hashable], UInt8[np.ndarray, "H W"]] = {}
    only_boxes: dict[tuple[str, Hashable], bool] = {}
    for number, shape in enumerate(shapes):
        named = f"{name} shape {number}"
        try:
            kind, label, group = shape.get("shape_type") or "polygon", shape["label"], shape.get("group_id")
            if kind in NO_AREA:
                findings.warnings.add("left out lines and points, which have no area", named)
                continue
            if kind == "polygon" and len({tuple(point) for point in shape["points"]}) < 3:
                findings.warnings.add("left out polygons with fewer than three points; draw them again", named)
                continue
            if not (isinstance(label, str) and label.strip()):
                findings.problems.add("shapes without a label; name them", named)
                continue
            mask = fill(kind, shape, size)
        except (KeyError, TypeError, AttributeError, *UNREADABLE) as error:
            findings.problems.add("shapes that cannot be read; draw them again or remove them", f"{named} ({error!r})")
            continue
        thing: tuple[str, Hashable] = (label.strip(), number if group is None else ("group", group))
        masks[thing] = masks[thing] | mask if thing in masks else mask
        only_boxes[thing] = only_boxes.get(thing, True) and kind == "rectangle"
    objects: list[Outlined] = []
    for (label, part_of), mask in masks.items():
        findings.add_object(objects, label, mask, f"{name} {label!r}", only_boxes[label, part_of])
    return objects


def fill(kind: str, shape: dict[str, Any], size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """The pixels of a shape.

    Raises:
        KeyError, TypeError, ValueError, OSError: It is no shape that labelme writes.
    """
    points = np.array(shape["points"], float)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("points that are no pairs of numbers")
    if kind in ("polygon", "oriented_rectangle"):
        return fill_polygon(points, size)
    if len(points) != 2 or kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"{len(points)} points of shape_type {kind!r}")
    (x0, y0), (x1, y1) = points.tolist()
    if kind == "rectangle":
        return fill_box(x0, y0, x1, y1, size)
    if kind == "circle":
        radius = math.dist((x0, y0), (x1, y1))
        return fill_ellipse((x0, y0), (radius, radius), 0, size) if radius else np.zeros(size, np.uint8)
    return place(decode(shape["mask"]), round(x0), round(y0), size)


def decode(text: str) -> UInt8[np.ndarray, "h w"]:
    """A mask over its box: a PNG in base64."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        pixels = np.asarray(image)
    if pixels.ndim != 2:
        raise ValueError("a mask in colours")
    return (pixels > 0).astype(np.uint8)


def place(part: UInt8[np.ndarray, "h w"], x: int, y: int, size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """A picture's mask that shows `part` with its first pixel at `(x, y)`; what leaves the picture is cut."""
    mask = np.zeros(size, np.uint8)
    inside = part[max(-y, 0) : max(size[0] - y, 0), max(-x, 0) : max(size[1] - x, 0)]
    top, left = max(y, 0), max(x, 0)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return mask
