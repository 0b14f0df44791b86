"""Reading the annotation file of a COCO-format data set, and saying all that is wrong with it at once."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as rle

from maskrcnn_jax.data.image_file import ImageFile, Located, StoredFile
from maskrcnn_jax.data.read_options import ReadOptions
from maskrcnn_jax.data.rle import decode_mask

MOST_NAMED = 10
"""Things that a message names before it only counts."""


class DatasetError(ValueError):
    """A data set that cannot be prepared; the message names the offenders and the remedy."""


class Refused(ValueError):
    """An annotation that cannot be used: (what is wrong, which it is)."""


class Dropped(ValueError):
    """An annotation that is left out: (why)."""


class AnnotatedObject(NamedTuple):
    """One annotation, checked."""

    box: tuple[float, float, float, float]
    label: int
    is_crowd: bool
    area: float
    annotation_id: int
    counts: bytes


class AnnotatedImage(NamedTuple):
    """An image and its objects, checked."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    """(height, width), pixels."""
    boxes: np.ndarray
    """`[n, 4]` float32 `(x0, y0, x1, y1)`, pixels, clipped to the image."""
    labels: np.ndarray
    """`[n]` int32 in `[0, C)`, in the order of the category ids."""
    is_crowd: np.ndarray
    """`[n]` bool."""
    areas: np.ndarray
    """`[n]` float32, square pixels, as annotated."""
    annotation_ids: np.ndarray
    """`[n]` int64."""
    masks: list[bytes]
    """n compressed RLE counts."""
    file: ImageFile
    """Where the image comes from."""
    upright: bool
    """Whether `size` and all coordinates refer to the raster turned by the file's EXIF orientation."""


class ImageEntry(NamedTuple):
    """What an annotation file says of an image."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    """(height, width), pixels."""


Locate = Callable[[ImageEntry], Located]
"""Finds an image; raises Refused where it is missing or not as annotated."""


def locate_by_name(entry: ImageEntry) -> Located:
    """Takes the name for a path and the annotated size for that of the stored raster, without a look at the file."""
    return Located(StoredFile(Path(entry.file_name)), entry.size, upright=False)


class Annotations(NamedTuple):
    """A whole annotation file."""

    category_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    images: list[AnnotatedImage]
    dropped: dict[str, list[int]]
    """Ids of the annotations that were left out, by reason."""


class Problems:
    """Collects offenders by what is wrong with them."""

    def __init__(self, where: str):
        self.where = where
        self.offenders: dict[str, list[str]] = defaultdict(list)

    def add(self, problem: str, offender: str) -> None:
        """Notes one more offender."""
        self.offenders[problem].append(offender)

    def raise_if_any(self) -> None:
        """Raises DatasetError that lists all problems, if there are any: one in one line, several below each other."""
        lines = [f"{problem}: {first_of(offenders)}" for problem, offenders in self.offenders.items()]
        if lines:
            raise DatasetError((" " if len(lines) == 1 else "\n  ").join([f"{self.where}:", *lines]))


def first_of(things: Sequence[object]) -> str:
    """Names the first few and counts the rest."""
    more = len(things) - MOST_NAMED
    return ", ".join(map(str, things[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def read_annotations(
    coco: Any, where: str, locate: Locate = locate_by_name, options: ReadOptions = ReadOptions()
) -> Annotations:
    """Checks a COCO instances dictionary and turns it into arrays.

    Objects whose box or polygons enclose no area are left out and listed in `dropped`; COCO itself holds a few. All
    else that is wrong is an error.

    Args:
        coco: The parsed JSON.
        where: Its file name, for messages.
        locate: Finds each image and the raster that its annotations refer to.
        options: The user's choices.

    Raises:
        DatasetError: Names every kind of problem with its offenders.
    """
    keys = ("images", "annotations", "categories")
    if not (isinstance(coco, dict) and all(isinstance(coco.get(key), list) for key in keys)):
        raise DatasetError(f"{where}: not a COCO instances file, which holds the lists {', '.join(keys)}")
    if not coco["images"] or not coco["categories"]:
        empty = "images" if not coco["images"] else "categories"
        raise DatasetError(f'{where}: "{empty}" is empty; a data set needs at least one')
    if not all({"id", "name"} <= category.keys() for category in coco["categories"]):
        raise DatasetError(f'{where}: "categories" need id and name')
    problems = Problems(where)
    categories = sorted(coco["categories"], key=lambda category: category["id"])
    category_ids = tuple(category["id"] for category in categories)
    for a, b in itertools.pairwise(category_ids):
        if a == b:
            problems.add("two categories have the same id; give each its own", f"id {a}")
    names = [category["name"] for category in categories]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        problems.add("two categories have the same name; give each its own", str(name))
    located = locate_images(coco["images"], locate, problems)
    sizes = {image_id: place.size for image_id, place in located.items()}
    label_of = {category_id: label for label, category_id in enumerate(category_ids)}
    objects: dict[int, list[AnnotatedObject]] = defaultdict(list)
    dropped: dict[str, list[int]] = defaultdict(list)
    seen: set[int] = set()
    for annotation in coco["annotations"]:
        if annotation.get("id") in seen or "id" not in annotation:
            problems.add("annotations need ids, each its own", f"annotation {annotation.get('id')}")
            continue
        seen.add(annotation["id"])
        try:
            read = read_object(annotation, sizes, label_of)
        except Dropped as reason:
            dropped[str(reason)].append(annotation["id"])
        except Refused as refused:
            problems.add(*refused.args)
        else:
            objects[annotation["image_id"]].append(read)
    problems.raise_if_any()
    images = [gather(image, located[image["id"]], objects[image["id"]]) for image in coco["images"]]
    return Annotations(category_ids, tuple(names), images, dict(dropped))


def locate_images(images: list[dict[str, Any]], locate: Locate, problems: Problems) -> dict[int, Located]:
    """Where each image lies and how large it is, by its id."""
    located: dict[int, Located] = {}
    for image in images:
        name = f"image {image.get('id')} ({image.get('file_name')})"
        whole = all(isinstance(image.get(key), int) for key in ("id", "height", "width"))
        if "file_name" not in image or not whole:
            problems.add("images need file_name and whole numbers as id, height and width", name)
        elif min(image["height"], image["width"]) <= 0:
            problems.add("height and width must be positive", name)
        elif image["id"] in located:
            problems.add("two images have the same id; give each its own", name)
        else:
            try:
                located[image["id"]] = locate(
                    ImageEntry(image["id"], image["file_name"], (image["height"], image["width"]))
                )
            except Refused as refused:
                problems.add(*refused.args)
    return located


def read_object(
    annotation: dict[str, Any], sizes: dict[int, tuple[int, int]], label_of: dict[int, int]
) -> AnnotatedObject:
    """Checks one annotation.

    Raises:
        Refused: It is wrong.
        Dropped: It encloses no area.
    """
    name = f"annotation {annotation['id']} (image {annotation.get('image_id')})"
    if annotation.get("image_id") not in sizes:
        raise Refused('annotations of an image that "images" does not list; add it or remove them', name)
    if annotation.get("category_id") not in label_of:
        name = f"{name} of category {annotation.get('category_id')}"
        raise Refused('annotations of a category that "categories" does not list; add it', name)
    segmentation, box = annotation.get("segmentation"), annotation.get("bbox")
    if not segmentation:
        raise Refused("annotations without segmentation; boxes alone give no instance masks", name)
    if not (isinstance(box, list) and len(box) == 4):
        raise Refused("bbox must be [x, y, width, height]", name)
    if not (finite(box) and finite(coordinates(segmentation))):
        raise Refused("coordinates that are no finite numbers; correct or remove the annotations", name)
    height, width = sizes[annotation["image_id"]]
    x, y, box_width, box_height = box
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + box_width, width), min(y + box_height, height)
    if not (left < right and top < bottom):
        raise Dropped("box of zero or negative size, or outside its image")
    if isinstance(segmentation, list):
        segmentation = [part for part in segmentation if len(part) >= 6 and len(part) % 2 == 0]
        if not segmentation:
            raise Dropped("polygon with fewer than three points")
    counts = compress(segmentation, height, width)
    if counts is None:
        raise Refused("run-length code that does not cover its image exactly", f"{name}, {height}×{width} pixels")
    area = annotation.get("area")
    if area is None:
        area = rle.area({"size": [height, width], "counts": counts})
    is_crowd = bool(annotation.get("iscrowd", 0))
    label = label_of[annotation["category_id"]]
    return AnnotatedObject((left, top, right, bottom), label, is_crowd, float(area), annotation["id"], counts)


def coordinates(segmentation: list | dict) -> list:
    """The numbers in polygons or in uncompressed run-length code; None for a polygon that is no list."""
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        return counts if isinstance(counts, list) else []
    return [value for part in segmentation for value in (part if isinstance(part, list) else [None])]


def finite(values: list) -> bool:
    """Whether all are finite numbers."""
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def compress(segmentation: list | dict, height: int, width: int) -> bytes | None:
    """Compressed RLE counts of polygons (their union), uncompressed or compressed RLE; None if the RLE does not fit."""
    if isinstance(segmentation, list):
        return rle.merge(rle.frPyObjects(segmentation, height, width))["counts"]
    counts = segmentation.get("counts")
    if list(segmentation.get("size", ())) != [height, width] or not counts:
        return None
    if isinstance(counts, list):
        fits = min(counts) >= 0 and sum(counts) == height * width
        return rle.frPyObjects(segmentation, height, width)["counts"] if fits else None
    try:
        coded = counts.encode("ascii")
        decode_mask(coded, (height, width))
    except ValueError:
        return None
    return coded


def gather(image: dict[str, Any], located: Located, objects: list[AnnotatedObject]) -> AnnotatedImage:
    """Stacks the objects of one image."""
    boxes, labels, is_crowd, areas, ids, masks = zip(*objects, strict=True) if objects else ((),) * 6
    return AnnotatedImage(
        image["id"],
        image["file_name"],
        located.size,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int32),
        np.asarray(is_crowd, bool),
        np.asarray(areas, np.float32),
        np.asarray(ids, np.int64),
        list(masks),
        located.file,
        located.upright,
    )
