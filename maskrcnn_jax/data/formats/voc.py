"""Pascal VOC: `Annotations/*.xml`, `JPEGImages/`, and if there are, `SegmentationObject/*.png` and `ImageSets/`.

A pixel's value in SegmentationObject is the number of its object, 255 what belongs to none for certain. Which object of
the XML that is says the box: the two that fit best go together. Without SegmentationObject masks are filled boxes.
Objects marked difficult become crowds: never learned, and not counted when found, as VOC's own evaluation has it.

Source: VOC's development kit; Detectron2's `pascal_voc.py`: boxes are numbers of pixels from 1, both ends included.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from faster_coco_eval.core import mask as rle
from tqdm import tqdm

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.formats.label_image import object_masks, read_label_image
from maskrcnn_jax.data.formats.layout import pictures_in, relative, visible
from maskrcnn_jax.data.formats.outlines import fill_box
from maskrcnn_jax.data.formats.picture import UNREADABLE, Findings, Outlined, Picture, reason
from maskrcnn_jax.data.image_file import StoredFile

VOID = 255
LEAST_OVERLAP = 0.5
"""IoU of an object's box and of its pixels' from which they are the same object."""


class Named(NamedTuple):
    """One object of an XML file."""

    class_name: str
    box: tuple[float, float, float, float]
    """`(x0, y0, x1, y1)`, continuous pixels."""
    difficult: bool


def is_voc(folder: Path) -> bool:
    """Whether a folder is laid out as Pascal VOC."""
    return (folder / "Annotations").is_dir() and any((folder / "Annotations").glob("*.xml"))


def read(folder: Path, wanted: Sequence[str], findings: Findings) -> dict[str, list[Picture]]:
    """Reads the splits that `ImageSets/` lists, those of segmentation if there are masks.

    Args:
        folder: Holds `Annotations/` and the others.
        wanted: Names of lists in `ImageSets/`, such as "train", "test"; empty for train and val. Without lists
            everything is one split, called "train" unless named here.
        findings: Notes problems.

    Raises:
        DatasetError: There is no such list.
    """
    objects = folder / "SegmentationObject"
    masks = {path.stem: path for path in pictures_in(objects)} if objects.is_dir() else {}
    if not (folder / "JPEGImages").is_dir():
        raise DatasetError(f"{folder}: has Annotations/, but no JPEGImages/ with the pictures")
    pictures = {path.stem: path for path in pictures_in(folder / "JPEGImages")}
    found: dict[str, list[Picture]] = {}
    for split, names in splits_of(folder, wanted, bool(masks)).items():
        found[split] = []
        for name in tqdm(names, f"reading {split}", unit=" images", disable=None):
            if masks and name not in masks:
                findings.warnings.add("left out pictures that SegmentationObject/ does not show", name)
            elif name not in pictures:
                findings.problems.add("pictures that JPEGImages/ does not hold", name)
            elif (picture := read_one(folder, pictures[name], masks.get(name), findings)) is not None:
                found[split].append(picture)
    return found


def splits_of(folder: Path, wanted: Sequence[str], segmented: bool) -> dict[str, list[str]]:
    """The names of each split's pictures."""
    kinds = [folder / "ImageSets" / kind for kind in (["Segmentation"] if segmented else []) + ["Main"]]
    sets = next((kind for kind in kinds if kind.is_dir()), kinds[-1])
    lists = {path.stem: path for path in visible(sets) if path.suffix == ".txt"} if sets.is_dir() else {}
    if not lists:
        if len(wanted) > 1:
            raise DatasetError(f"splits = {', '.join(wanted)}: {folder} has no ImageSets/ that divides it; name one")
        everything = sorted(path.stem for path in (folder / "Annotations").glob("*.xml"))
        return {wanted[0] if wanted else "train": everything}
    names = list(wanted) or [name for name in ("train", "val") if name in lists]
    if not names and "trainval" in lists:
        return {"train": lines_of(lists["trainval"])}
    if not names or not lists.keys() >= set(names):
        asked = ", ".join(wanted) or "train, val"
        raise DatasetError(f"splits = {asked}: {sets} lists {', '.join(lists)}; name some of these (--splits)")
    return {name: lines_of(lists[name]) for name in names}


def lines_of(path: Path) -> list[str]:
    """The names in a list; lists of one class have a second column."""
    return [line.split()[0] for line in path.read_text("utf-8").splitlines() if line.strip()]


def read_one(folder: Path, path: Path, mask: Path | None, findings: Findings) -> Picture | None:
    """Reads one picture; None if it cannot be used, which is noted."""
    bad = xml = folder / "Annotations" / f"{path.stem}.xml"
    try:
        named = read_xml(xml)
        if mask is not None:
            bad = mask
            labels = read_label_image(mask)
    except UNREADABLE as error:
        findings.problems.add("annotations that cannot be read; fetch or write them again", reason(bad, error))
        return None
    size = findings.size_of(path) if mask is None else labels.shape
    if size is None:
        return None
    objects: list[Outlined] = []
    rest = named if mask is None else join(named, labels, objects, xml.stem, findings)
    for thing in rest:
        if mask is None or thing.difficult:
            filled = fill_box(*thing.box, size)
            name = f"{xml.name} {thing.class_name!r}"
            findings.add_object(objects, thing.class_name, filled, name, is_box=True, is_crowd=thing.difficult)
        else:
            findings.warnings.add(
                "left out objects without pixels in SegmentationObject/", f"{xml.stem} {thing.class_name!r}"
            )
    return Picture(relative(path, folder), size, objects, StoredFile(path), upright=False)


def read_xml(path: Path) -> list[Named]:
    """The objects of one file.

    Raises:
        OSError, SyntaxError: It is no XML.
        ValueError: An object has no name, or no box.
    """
    objects = []
    for number, element in enumerate(ElementTree.parse(path).getroot().findall("object")):
        class_name = (element.findtext("name") or "").strip()
        corners = [element.findtext(f"bndbox/{side}") or "" for side in ("xmin", "ymin", "xmax", "ymax")]
        if not (class_name and all(corners)):
            raise ValueError(f"object {number} lacks its name or a side of its bndbox")
        x0, y0, x1, y1 = map(float, corners)
        if not np.isfinite([x0, y0, x1, y1]).all():
            raise ValueError(f"object {number} has a bndbox of no numbers")
        # Pixels 1 to n, both included, cover [0, n).
        difficult = (element.findtext("difficult") or "0").strip() == "1"
        objects.append(Named(class_name, (x0 - 1, y0 - 1, x1, y1), difficult))
    return objects


def join(
    named: Sequence[Named], labels: np.ndarray, objects: list[Outlined], name: str, findings: Findings
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
        findings.warnings.add("left out objects of SegmentationObject/ that fit no bndbox", f"{name} object {number}")
    return [named[index] for index in sorted(left)]
