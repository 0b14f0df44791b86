"""Reads the annotation file of a COCO-format data set and reports all its problems at once."""

import logging
from collections import defaultdict
from typing import Any

from maskrcnn_jax.data.prepare.annotated import AnnotatedImage, AnnotatedObject, Annotations
from maskrcnn_jax.data.prepare.coco.box_agreement import Box, BoxAgreement, clip
from maskrcnn_jax.data.prepare.coco.box_mask import box_warning, fill
from maskrcnn_jax.data.prepare.coco.entries import Findings, add_to, read_entries
from maskrcnn_jax.data.prepare.coco.segmentation import FAR, Polygons, require_pixels
from maskrcnn_jax.data.prepare.coco.types import RawAnnotation
from maskrcnn_jax.data.prepare.finder.image_entry import Locate, locate_by_name
from maskrcnn_jax.data.prepare.problems import DatasetError, Dropped, Problems, Refused
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.masks.rle import decode_runs, extent
from maskrcnn_jax.messages.counts import shorten_list

log = logging.getLogger(__name__)

BEYOND = 1.0
"""Pixels by which a box may reach beyond its image without a warning, as COCO's do by rounding."""


def read_annotations(
    coco: Any, where: str, locate: Locate = locate_by_name, options: ReadOptions = ReadOptions()
) -> Annotations:
    """Checks a COCO instances dictionary and turns it into arrays.

    Objects whose box or mask holds no pixel of their image are left out and listed in `dropped`; COCO itself holds a
    few. All else that is wrong is an error; what a user should know is logged as a warning.

    Args:
        coco: The parsed JSON, of any content.
        where: Its file name, for messages.
        locate: Finds each image and the raster that its annotations refer to.
        options: The user's choices.

    Raises:
        DatasetError: Names every kind of problem with its offenders.
    """
    findings = Findings(Problems(where), Problems(where), defaultdict(list))
    entries = read_entries(coco, where, locate, options, findings)
    label_of = {category.category_id: label for label, category in enumerate(entries.classes)}
    agreement = BoxAgreement()
    objects: dict[int, list[AnnotatedObject]] = defaultdict(list)
    for raw in entries.annotations:
        size = entries.located[raw.image_id].size
        try:
            # Without a category only where all objects get the same class afterwards.
            label = 0 if raw.category_id is None else label_of[raw.category_id]
            read = read_object(raw, label, size, options, agreement, findings.warnings)
        except Dropped as reason:
            findings.dropped[str(reason)].append(raw.annotation_id)
        except Refused as refused:
            add_to(raw.called, refused, findings.problems)
        else:
            objects[raw.image_id].append(read)
    agreement.report(findings.problems, findings.warnings)
    findings.problems.raise_if_any()
    if findings.dropped and not objects:
        raise DatasetError(
            f"{where}: none of its annotations can be used; check that coordinates are pixels of these images: "
            f"{reasons(findings.dropped)}"
        )
    for line in findings.warnings.lines():
        log.warning("%s: %s", where, line)
    if boxes := sum(thing.is_box for things in objects.values() for thing in things):
        log.warning("%s: %s", where, box_warning(boxes, sum(map(len, objects.values()))))
    images = [
        AnnotatedImage.of(entry, entries.located[entry.image_id], objects[entry.image_id]) for entry in entries.images
    ]
    ids = tuple(category.category_id for category in entries.classes)
    names = tuple(category.name for category in entries.classes)
    return Annotations(ids, names, images, dict(findings.dropped))


def reasons(dropped: dict[str, list[int]]) -> str:
    """Why annotations were left out, and which."""
    return "; ".join(f"{reason}: {shorten_list(ids)}" for reason, ids in dropped.items())


def read_object(
    raw: RawAnnotation,
    label: int,
    size: tuple[int, int],
    options: ReadOptions,
    agreement: BoxAgreement,
    warnings: Problems,
) -> AnnotatedObject:
    """Checks an annotation against its image of `size` = (height, width), and its box against its mask.

    Raises:
        Refused: It is wrong.
        Dropped: It holds no pixel.
    """
    box = None if raw.box is None else box_in(raw.box, size, raw.called, warnings)
    if raw.segmentation is not None:
        counts = raw.segmentation.encode(size)
    elif raw.box is None or box is None:
        raise Refused("annotations with neither segmentation nor bbox; annotate or remove them", "")
    elif is_empty(box):
        raise Dropped("box of zero or negative size, or outside its image")
    else:
        require_pixels(raw.box, size)
        agreement.compare_alone(raw.box, size, raw.called)
        counts = fill(box, size)
    runs = decode_runs(counts, size)
    around = extent(runs, size[0])
    if around is None:
        raise Dropped("mask without a pixel inside its image")
    if isinstance(raw.segmentation, Polygons) and raw.segmentation.short:
        warnings.add("left out parts of fewer than three points of", raw.called)
    if box is None:
        box = around
    elif is_empty(box):
        raise Dropped("box of zero or negative size or outside its image, unlike its mask (try --boxes-from-masks)")
    elif raw.segmentation is not None and raw.box is not None:
        agreement.compare(raw.box, around, size, raw.called)
    pixels = int(runs[1::2].sum())
    area = raw.area or pixels
    if area > size[0] * size[1]:
        warnings.add("areas larger than the image; counted in the mask instead", f"{raw.called}: {area:g}")
        area = pixels
    is_crowd = raw.is_crowd and not options.crowds_as_objects
    return AnnotatedObject(box, label, is_crowd, raw.segmentation is None, float(area), raw.annotation_id, counts)


def box_in(bbox: Box, size: tuple[int, int], name: str, warnings: Problems) -> Box:
    """The box `(x0, y0, x1, y1)` of an annotation `[x, y, width, height]`, clipped to its image.

    Raises:
        Refused: It lies far outside.
    """
    x, y, width, height = bbox
    corners = (x, y, x + width, y + height)
    if min(corners) < -max(size) or max(corners) > 2 * max(size):
        raise Refused(FAR, f"bbox {list(bbox)}")
    box = clip(corners, size)
    if not is_empty(box) and max(abs(a - b) for a, b in zip(box, corners, strict=True)) > BEYOND:
        warnings.add("boxes that reach beyond their image, so were clipped to it", name)
    return box


def is_empty(box: Box) -> bool:
    """Whether a box `(x0, y0, x1, y1)` encloses nothing."""
    return not (box[0] < box[2] and box[1] < box[3])
