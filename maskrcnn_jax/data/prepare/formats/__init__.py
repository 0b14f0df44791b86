"""Data sets in the formats of annotation tools, read as COCO instances dictionaries.

What a folder holds is told from its content: COCO's layout, Pascal VOC, masks, VIA or labelme. A reader gives
`LabeledImage`s by split; `to_coco` writes them as the one dictionary that `prepare` checks.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.annotated import Annotations
from maskrcnn_jax.data.prepare.coco.annotations import read_annotations
from maskrcnn_jax.data.prepare.coco.files import SplitFiles, find_splits
from maskrcnn_jax.data.prepare.coco.images import CocoImages
from maskrcnn_jax.data.prepare.crowds import crowd_warnings
from maskrcnn_jax.data.prepare.finder.image_file import StoredFile
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder
from maskrcnn_jax.data.prepare.formats import labelme, mask_folder, via, voc
from maskrcnn_jax.data.prepare.formats.json_kinds import COCO, LABELME, VIA, kind_of
from maskrcnn_jax.data.prepare.formats.labeled_image import (
    UNNAMED,
    Findings,
    LabeledImage,
    check_together,
    to_annotations,
)
from maskrcnn_jax.data.prepare.formats.layout import json_files, read_json, split_folders
from maskrcnn_jax.data.prepare.formats.recognise import MASKS, VOC, recognise
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.data.prepare.split_names import storable

log = logging.getLogger(__name__)


class Split(NamedTuple):
    """One split of a data set."""

    name: str
    where: str
    """The name of its annotations, for messages."""
    read: Callable[[], Annotations]
    """Reads and checks the annotations and finds the images.

    Raises:
        DatasetError: They cannot be used.
    """


class Dataset(NamedTuple):
    """A data set that was recognised."""

    kind: str
    """The format: "COCO", "VIA", "labelme", "masks" or "Pascal VOC"."""
    splits: list[Split]
    dropped: Mapping[str, Sequence[str]]
    """What was left out before the splits are read, by reason."""


def open_dataset(folder: Path, options: ReadOptions = ReadOptions()) -> Dataset:
    """Recognises a data set and finds its splits.

    Args:
        folder: The data set, a folder or for COCO, VIA and labelme a JSON file.
        options: The user's choices.

    Raises:
        DatasetError: It is none that is understood, or cannot be read; the message names the files and the remedy.
    """
    found = recognise(folder)
    require_effect(options, found.kind, folder)
    if found.kind != COCO:
        return read_labeled_images(found.kind, found.folder, options)
    files = find_splits(found.folder, options.splits, found.files)
    if not options.splits:
        files = with_annotations(files)
    return Dataset(
        COCO, [Split(split.name, str(split.annotations), partial(read_coco, split, options)) for split in files], {}
    )


def require_effect(options: ReadOptions, kind: str, folder: Path) -> None:
    """Raises DatasetError if the user set an option that the format does not have."""
    by_layout = "whose layout says where the images are"
    only_coco = {
        "crowds_as_objects": "which does not mark groups of objects as COCO does",
        "boxes_from_masks": "whose boxes always come from the masks",
        "raster": "which says itself which raster its coordinates refer to",
    }
    without: list[tuple[str, bool, str]] = [
        ("class_attribute", kind == VIA, "only VIA has attributes"),
        ("images", kind != MASKS, by_layout),
        *((name, kind == COCO, why) for name, why in only_coco.items()),
    ]
    for name, has_effect, why in without:
        if not has_effect and (value := getattr(options, name)):
            raise DatasetError(f"{name} = {value!r}: {folder} holds {kind}, {why}; leave it out")
    if options.class_attribute is not None and options.class_name is not None:
        raise DatasetError(
            f"class_attribute = {options.class_attribute!r} and class_name = {options.class_name!r}: give one of them"
        )
    if options.images is not None and not options.images.is_dir():
        raise DatasetError(f"images = {options.images}: no such folder")


def with_annotations(files: Sequence[SplitFiles]) -> list[SplitFiles]:
    """Leaves out a split "test" whose file holds no annotation, if there are others, with a message."""
    kept = []
    for split in files:
        if len(files) > 1 and split.name.startswith("test"):
            content = read_json(split.annotations)
            if isinstance(content, dict) and not content.get("annotations"):
                left_out(str(split.annotations), split.name)
                continue
        kept.append(split)
    return kept


def left_out(where: str, split: str) -> None:
    """Says that a split is not prepared."""
    log.warning("%s: left out the split %r, which has no annotations; to prepare it name it (--splits)", where, split)


def read_coco(files: SplitFiles, options: ReadOptions) -> Annotations:
    """Reads and checks one split of a COCO data set."""
    images = CocoImages(ImageFinder.of(options, files.folders, files.root), options)
    annotations = read_annotations(read_json(files.annotations), str(files.annotations), images.locate, options)
    images.warn(str(files.annotations))
    for line in crowd_warnings(annotations):
        log.warning("%s: %s", files.annotations, line)
    return annotations


def read_labeled_images(kind: str, folder: Path, options: ReadOptions) -> Dataset:
    """Reads a data set that is not COCO's; the splits share their classes, in alphabetical order."""
    root = folder if folder.is_dir() else folder.parent
    findings = Findings(str(folder))
    if kind == VOC:
        images = voc.read(folder, options, findings)
    else:
        folders = annotated_folders(kind, folder, options.splits)
        if kind == VIA:
            images = via.read(folders, root, options, findings)
        elif kind == LABELME:
            images = labelme.read(folders, root, options, findings)
        else:
            images = mask_folder.read(folders, root, options.class_name or UNNAMED, findings)
    if kind == MASKS and not options.outside_images:
        note_outside(images, root, findings)
    check_together(images, findings)
    findings.close()
    names = sorted({thing.class_name for split in images.values() for image in split for thing in image.objects})
    splits = []
    for split, inside in images.items():
        where = f"{folder} ({split})"
        splits.append(Split(storable(split), where, partial(to_annotations, inside, names, where)))
    return Dataset(kind, splits, findings.dropped)


def note_outside(images: Mapping[str, Sequence[LabeledImage]], root: Path, findings: Findings) -> None:
    """Notes images to which links lead out of the data set's folder; finders refuse these before."""
    inside = os.path.join(os.path.realpath(root), "")
    for image in (image for split in images.values() for image in split):
        path = image.file.path if isinstance(image.file, StoredFile) else None
        if isinstance(path, Path) and not os.path.realpath(path).startswith(inside):
            findings.problems.add(f"images that are outside {root}; allow such images with --outside-images", str(path))


def annotated_folders(kind: str, folder: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """The folders of the splits, without an unlabelled "test"; the whole folder if none of them is annotated."""
    folders = split_folders(folder, wanted)
    annotated = {split for split, inside in folders.items() if is_annotated(kind, inside)}
    if not annotated and len(wanted) <= 1:
        return {wanted[0] if wanted else "train": folder}
    if not wanted and "test" in folders and "test" not in annotated:
        left_out(str(folders.pop("test")), "test")
    return folders


def is_annotated(kind: str, folder: Path) -> bool:
    """Whether a folder holds annotations of a format."""
    if kind == MASKS:
        return mask_folder.is_mask_folder(folder)
    return any(kind_of(read_json(path)) == kind for path in json_files(folder))
