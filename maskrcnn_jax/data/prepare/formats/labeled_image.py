"""Images with objects as every format is read, and their conversion to a COCO instances dictionary."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as rle
from jaxtyping import UInt8
from PIL import Image

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import Header, read_header
from maskrcnn_jax.data.prepare.annotated import Annotations
from maskrcnn_jax.data.prepare.coco.annotations import read_annotations
from maskrcnn_jax.data.prepare.coco.box_mask import box_warning
from maskrcnn_jax.data.prepare.finder.image_entry import ImageEntry
from maskrcnn_jax.data.prepare.finder.image_file import ImageFile, Located, StoredFile
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder, ImageNotFound
from maskrcnn_jax.data.prepare.formats.runs import is_empty
from maskrcnn_jax.data.prepare.problems import Problems
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.files.reading import AnyPath, NotAFile
from maskrcnn_jax.masks.rle import encode_mask
from maskrcnn_jax.messages.counts import pluralize, shorten_list

log = logging.getLogger(__name__)

UNNAMED = "object"
"""The class of objects that have no name."""

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that are missing, no images, truncated, of no meaning, or suspiciously large."""


BROKEN = "images that cannot be read; give other files, or remove them and their annotations"
OTHER_SIZE = "images of another size than annotated; correct the annotations, or give the files that were annotated"


class Outlined(NamedTuple):
    """One object of an image."""

    class_name: str
    mask: dict[str, Any]
    """COCO run-length code over the image."""
    is_box: bool = False
    """Whether the mask is only a filled box."""
    is_crowd: bool = False


class LabeledImage(NamedTuple):
    """One image and its objects."""

    file_name: str
    """Relative to the data set's folder."""
    size: tuple[int, int]
    """(height, width), pixels."""
    objects: list[Outlined]
    file: ImageFile
    """The file of the image."""
    upright: bool
    """Whether size and masks refer to the raster turned by the file's EXIF orientation, not to the one stored."""


class Findings:
    """Problems and warnings of a data set, collected over all files and reported once."""

    def __init__(self, where: str):
        self.problems = Problems(where)
        self.warnings = Problems(where)
        self.dropped: dict[str, list[str]] = defaultdict(list)
        """What was left out, by reason: counted at the end of `prepare`."""

    def drop(self, reason: str, offender: str) -> None:
        """Notes an annotation that is left out."""
        self.dropped[reason].append(offender)

    def close(self) -> None:
        """Warns, and raises DatasetError if there are problems."""
        for what, offenders in self.dropped.items():
            log.warning("%s: left out %s: %s", self.warnings.where, what, shorten_list(offenders))
        for what, offenders in self.warnings.offenders.items():
            log.warning("%s: %s: %s", self.warnings.where, what, shorten_list(offenders))
        self.problems.raise_if_any()

    def add_object(
        self,
        objects: list[Outlined],
        class_name: str,
        mask: UInt8[np.ndarray, "H W"],
        name: str,
        is_box: bool = False,
        is_crowd: bool = False,
    ) -> None:
        """Adds an object to `objects`, or notes that `name` covers no pixel."""
        self.add_coded(objects, Outlined(class_name, encode_mask(mask), is_box, is_crowd), name)

    def add_coded(self, objects: list[Outlined], thing: Outlined, name: str) -> None:
        """As `add_object`, of a mask that is coded already."""
        if is_empty(thing.mask):
            self.drop("objects that cover no pixel of their image", name)
        else:
            objects.append(thing)

    def find(self, finder: ImageFinder, name: str) -> tuple[AnyPath, Header] | None:
        """Finds an image file and reads its header; None notes a problem."""
        try:
            path = finder.find(name)
        except ImageNotFound as error:
            self.problems.add(error.problem, error.offender)
            return None
        header = self.header_of(path)
        return None if header is None else (path, header)

    def header_of(self, path: AnyPath) -> Header | None:
        """Reads the header of an image file; None notes a problem."""
        try:
            return read_header(StoredFile(path).read(), str(path))
        except (BrokenImage, OSError) as error:
            self.problems.add(BROKEN, str(error))
            return None


def reason(path: Path, error: Exception) -> str:
    """A file's name and what is wrong with it, in a few words."""
    if isinstance(error, BrokenImage | NotAFile):
        return str(error)
    if not path.is_file():
        return f"{path}: missing"
    known = isinstance(error, Image.UnidentifiedImageError)
    return f"{path}: " + (f"no image ({path.stat().st_size} bytes)" if known else str(error))


def to_annotations(images: Sequence[LabeledImage], class_names: Sequence[str], where: str) -> Annotations:
    """Checks one split as a COCO data set is checked.

    Args:
        images: The split's images.
        class_names: The classes of all splits, in the order of their labels.
        where: What messages call the split.
    """

    def locate(entry: ImageEntry) -> Located:
        image = images[entry.image_id - 1]
        return Located(image.file, image.size, image.upright)

    annotations = read_annotations(to_coco(images, class_names), where, locate, ReadOptions())
    things = (thing for image in images for thing in image.objects)
    boxes = [number for number, thing in enumerate(things, 1) if thing.is_box]
    marked = [image._replace(is_box=np.isin(image.annotation_ids, boxes)) for image in annotations.images]
    return annotations._replace(images=marked)


def to_coco(images: Sequence[LabeledImage], class_names: Sequence[str]) -> dict[str, Any]:
    """Writes one split as a COCO instances dictionary; boxes follow from the masks.

    Args:
        images: The split's images; their order gives the ids, from 1.
        class_names: The classes of all splits; their order gives the category ids, from 1.
    """
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    number = {name: index for index, name in enumerate(class_names, 1)}
    for image_id, image in enumerate(images, 1):
        height, width = image.size
        entries.append({"id": image_id, "file_name": image.file_name, "height": height, "width": width})
        for thing in image.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": number[thing.class_name],
                    "segmentation": thing.mask,
                    "bbox": rle.toBbox([thing.mask])[0].tolist(),
                    "iscrowd": int(thing.is_crowd),
                }
            )
    categories = [{"id": index, "name": name} for name, index in number.items()]
    return {"images": entries, "annotations": annotations, "categories": categories}


def check_together(splits: Mapping[str, Sequence[LabeledImage]], findings: Findings) -> None:
    """Notes what only shows over all images: the same twice, no objects at all; warns if objects are boxes.

    Where there are problems already, missing images and objects may be their doing, and are not noted.
    """
    images = [image for split in splits.values() for image in split]
    times = Counter(image.file_name for image in images)
    if not any(image.objects for image in images) and not findings.problems.offenders:
        if images:
            findings.problems.add("no objects; annotate some", pluralize(len(images), "image"))
        else:
            findings.problems.add("no images; put them where the annotations expect them", "0 found")
    for name in (name for name, count in times.items() if count > 1):
        findings.problems.add("images that are annotated twice; remove one of the annotations", name)
    objects = [thing for image in images for thing in image.objects if not thing.is_crowd]
    if boxes := sum(thing.is_box for thing in objects):
        log.warning("%s: %s", findings.problems.where, box_warning(boxes, len(objects)))
