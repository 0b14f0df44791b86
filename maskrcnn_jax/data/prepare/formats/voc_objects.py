"""Objects of Pascal VOC's label images get their classes: by the boxes of the XML, or by an image of classes."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from faster_coco_eval.core import mask as rle
from jaxtyping import Integer

from maskrcnn_jax.data.prepare.formats.label_image import object_masks
from maskrcnn_jax.data.prepare.formats.labeled_image import Findings, Outlined
from maskrcnn_jax.data.prepare.formats.voc_xml import Named
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.files.reading import read_bytes

VOID = 255
LEAST_OVERLAP = 0.5
"""IoU of an object's box and of its pixels' from which they are the same object."""


def join(
    named: Sequence[Named],
    labels: Integer[np.ndarray, "H W"],
    objects: list[Outlined],
    name: str,
    findings: Findings,
) -> list[Named]:
    """Adds what has both a name and pixels to `objects`, best fit first; returns the names that are left."""
    masks = {number: code for number, code in object_masks(labels).items() if number != VOID}
    if not masks:
        return list(named)
    extents = rle.toBbox(list(masks.values()))
    boxes = np.array([thing.box for thing in named]).reshape(-1, 4)
    overlaps = rle.iou(extents, np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1), [0] * len(named))
    overlaps = np.reshape(overlaps, (len(masks), len(named)))
    numbers, left = list(masks), set(range(len(named)))
    for place in np.argsort(-overlaps, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(named))
        if overlaps[row, column] >= LEAST_OVERLAP and numbers[row] in masks and column in left:
            left.remove(column)
            thing = named[column]
            objects.append(Outlined(thing.class_name, masks.pop(numbers[row]), is_crowd=thing.difficult))
    for number in masks:
        findings.drop("objects of SegmentationObject/ that fit no bndbox", f"{name} object {number}")
    return [named[index] for index in sorted(left)]


def read_class_names(path: Path) -> list[str]:
    """The classes that labelme's export lists, one in a line, the background first.

    Raises:
        DatasetError: It is no text.
    """
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: its text is not UTF-8 (byte {error.start}); convert it") from error
    return [line.strip() for line in lines]


def name_by_class(
    labels: Integer[np.ndarray, "H W"],
    classes: Integer[np.ndarray, "H W"],
    class_names: Sequence[str],
    name: str,
    findings: Findings,
) -> list[Outlined]:
    """The objects of a label image, each of the class that an image of classes shows at its pixels.

    Args:
        labels: Numbers of objects.
        classes: Indices into `class_names`.
        class_names: The background first.
        name: Of the image, for messages.
        findings: Notes problems.
    """
    inside = labels != 0
    pairs = np.unique(np.stack([labels[inside].astype(np.int64), classes[inside].astype(np.int64)]), axis=1)
    classes_of: dict[int, list[int]] = defaultdict(list)
    for number, label in pairs.T.tolist():
        classes_of[number].append(label)
    objects = []
    for number, code in object_masks(labels).items():
        named = f"{name} object {number}"
        first, *others = classes_of[number]
        if number == VOID and not others and first in (0, VOID):
            findings.drop("pixels that SegmentationObject/ calls void", named)
        elif others:
            findings.problems.add("objects of several classes in SegmentationClass/", f"{named} ({classes_of[number]})")
        elif not 0 < first < len(class_names) or not class_names[first]:
            findings.problems.add("objects of a class that class_names.txt does not list", f"{named} ({first})")
        else:
            objects.append(Outlined(class_names[first], code))
    return objects
