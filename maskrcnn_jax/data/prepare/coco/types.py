"""The entries of a COCO annotation file with their types checked, before anything else reads them."""

from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from maskrcnn_jax.data.prepare.coco.segmentation import NOT_FINITE, Polygons, RunLengths, all_finite, parse_segmentation
from maskrcnn_jax.data.prepare.finder.image_entry import ImageEntry
from maskrcnn_jax.data.prepare.json_values import finite, shown, text, truth, whole
from maskrcnn_jax.data.prepare.problems import DatasetError, Refused

LARGEST_SIDE, LARGEST_IMAGE = 2**16, 2**31
"""Pixels: JPEG has no longer side and each column costs a run per object; the library counts pixels in 31 bits."""

KEYS = ("images", "annotations", "categories")


class RawCategory(NamedTuple):
    """A category as annotated."""

    category_id: int
    name: str
    supercategory: str | None


class RawAnnotation(NamedTuple):
    """An annotation as annotated, without the fields that need its image."""

    annotation_id: int
    image_id: int
    category_id: int | None
    """None where there is none."""
    segmentation: Polygons | RunLengths | None
    """None if it is annotated by a box alone."""
    box: tuple[float, float, float, float] | None
    """`[x, y, width, height]`, finite; None where there is none, or where boxes are taken from the masks."""
    area: float | None
    """Positive, finite; None where there is none."""
    is_crowd: bool

    @property
    def called(self) -> str:
        """Its name, for messages."""
        return f"annotation {self.annotation_id} (image {self.image_id})"


def lists_of(coco: Any, where: str) -> tuple[list, list, list]:
    """Images, annotations and categories of an instances file.

    Raises:
        DatasetError: It is none; the message says what it seems to be.
    """
    if isinstance(coco, list):
        first = coco[0] if coco and isinstance(coco[0], dict) else {}
        what = "a list of detections, COCO's results format" if {"image_id", "score"} <= first.keys() else "a list"
        raise DatasetError(f"{where}: {what}, not a COCO instances file; give the file with the annotations")
    if not isinstance(coco, dict):
        raise DatasetError(f"{where}: {shown(coco)}, not a COCO instances file")
    images, annotations, categories = (coco.get(key) for key in KEYS)
    if isinstance(images, list) and annotations is None:
        raise DatasetError(
            f'{where}: holds no "annotations", as files of unlabelled images do; leave this split out (--splits), or '
            'add "annotations": [] if its images have no objects'
        )
    first = annotations[0] if annotations and isinstance(annotations, list) and isinstance(annotations[0], dict) else {}
    for key, what in {"segments_info": "COCO panoptic", "caption": "COCO captions"}.items():
        if key in first:
            raise DatasetError(f"{where}: seems to be a {what} file; give the instances file (instances_….json)")
    if "keypoints" in first and not first.get("segmentation") and not first.get("bbox"):
        raise DatasetError(f"{where}: holds keypoints without masks or boxes; give the instances file")
    if not (isinstance(images, list) and isinstance(annotations, list) and isinstance(categories, list)):
        wrong = {key: coco.get(key) for key in KEYS if not isinstance(coco.get(key), list)}
        missing = ", ".join(f'"{key}" is {shown(value) if key in coco else "missing"}' for key, value in wrong.items())
        raise DatasetError(f"{where}: not a COCO instances file, which holds the lists {', '.join(KEYS)}; {missing}")
    for key, content in (("images", images), ("categories", categories)):
        if not content:
            raise DatasetError(f'{where}: "{key}" is empty; a data set needs at least one')
    return images, annotations, categories


def require_object(entry: Any, key: str, position: int) -> dict[str, Any]:
    """An entry of a list, which must be a JSON object.

    Raises:
        Refused: It is none.
    """
    if not isinstance(entry, dict):
        raise Refused(f'"{key}" must hold objects {{…}}; remove the others', f"entry {position} ({shown(entry)})")
    return entry


def parse_category(entry: dict[str, Any]) -> RawCategory:
    """Checks the types of a category.

    Raises:
        Refused: Its id is no whole number or its name no text.
    """
    category_id, name, group = whole(entry.get("id")), entry.get("name"), entry.get("supercategory")
    called = f"id {shown(entry.get('id'))} ({shown(name)})"
    if category_id is None:
        raise Refused('"categories" need whole numbers of 64 bits as id, also as category_id of annotations', called)
    if (named := text(name)) is None:
        raise Refused('"categories" need id and name, the name a text', called)
    return RawCategory(category_id, named, group if isinstance(group, str) else None)


def parse_image(entry: dict[str, Any]) -> ImageEntry:
    """Checks the types of an image.

    Raises:
        Refused: Its id or a side is no whole number, or it has no name.
    """
    image_id, name = whole(entry.get("id")), entry.get("file_name")
    if "file_name" not in entry and isinstance(entry.get("coco_url"), str):
        name = end_of(entry["coco_url"])
    called = f"image {shown(entry.get('id'))} ({name if isinstance(name, str) else shown(name)})"
    if image_id is None:
        raise Refused('"images" need whole numbers of 64 bits as id, also as image_id of annotations', called)
    if (named := text(name)) is None:
        raise Refused("images need file_name, the name of a file", called)
    sides = []
    for key in ("height", "width"):
        value = entry.get(key)
        side = 0 if value is None else whole(value)
        if side is None or side < -1:
            raise Refused(
                "images need whole numbers as height and width; leave out both to take them from the file",
                f"{called}: {key} {shown(value)}",
            )
        sides.append(side)
    height, width = sides
    require_readable((height, width), called)
    return ImageEntry(image_id, named, (height, width) if min(sides) > 0 else None)


def require_readable(size: tuple[int, int], called: str) -> None:
    """Raises Refused if an image of this (height, width) is too large to be read."""
    if max(size) > LARGEST_SIDE or size[0] * size[1] >= LARGEST_IMAGE:
        raise Refused(
            f"images with a side above {LARGEST_SIDE} or {LARGEST_IMAGE} pixels and more cannot be read",
            f"{called}: {size[0]}×{size[1]} (height × width)",
        )


def end_of(url: str) -> str | None:
    """Folder and name at the end of a URL, `train2017/000000000009.jpg`, as LVIS means it; None if there is none."""
    try:
        path = PurePosixPath(unquote(urlsplit(url).path))
    except ValueError:
        return None
    return "/".join(part for part in path.parts[-2:] if part != "/") or None


def parse_annotation(entry: dict[str, Any], boxes_from_masks: bool) -> RawAnnotation:
    """Checks the types of an annotation whose ids are whole numbers.

    Raises:
        Refused: A field is of no type that is understood.
        Dropped: Its polygons have fewer than three points.
    """
    segmentation = parse_segmentation(entry.get("segmentation"))
    box, area, is_crowd = entry.get("bbox"), entry.get("area"), truth(entry.get("iscrowd"))
    if is_crowd is None:
        raise Refused("iscrowd must be 0 or 1", shown(entry["iscrowd"]))
    if segmentation is not None and boxes_from_masks:
        box = None
    if box is not None and box != []:
        if not (isinstance(box, list) and len(box) == 4):
            raise Refused("bbox must be [x, y, width, height]; leave it out to take it from the mask", shown(box))
        if not all_finite(box):
            raise Refused(NOT_FINITE, f"bbox {shown(box)}")
    return RawAnnotation(
        whole(entry["id"]) or 0,
        whole(entry["image_id"]) or 0,
        whole(entry.get("category_id")),
        segmentation,
        tuple(box) if box else None,
        parse_area(area),
        is_crowd,
    )


def parse_area(value: Any) -> float | None:
    """An area in square pixels; None where it is missing, null, empty or 0, and must be counted."""
    if value is None or value == "":
        return None
    area = finite(value)
    if isinstance(value, str):
        try:
            area = finite(float(value))
        except ValueError:
            area = None
    if area is None or area < 0:
        raise Refused("area must be a number from 0; leave it out to count it in the mask", shown(value))
    return area or None
