"""Data sets in the formats of annotation tools, read as COCO instances dictionaries.

What a folder holds is told from its content: COCO's layout, Pascal VOC, masks, VIA or labelme. A reader gives
`Picture`s by split; `to_coco` writes them as the one dictionary that `prepare` checks.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.annotations import Annotations, DatasetError, read_annotations
from maskrcnn_jax.data.coco_files import ANNOTATIONS, SplitFiles, annotation_files, find_splits
from maskrcnn_jax.data.coco_images import CocoImages
from maskrcnn_jax.data.formats import labelme, mask_folder, via, voc
from maskrcnn_jax.data.formats.layout import json_files, read_json, split_folders
from maskrcnn_jax.data.formats.picture import UNNAMED, Findings, check_together, to_annotations
from maskrcnn_jax.data.image_finder import ImageFinder
from maskrcnn_jax.data.read_options import ReadOptions


class Split(NamedTuple):
    """One split of a data set."""

    name: str
    where: str
    """What messages call its annotations."""
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
    kind = recognise(folder)
    class_attribute, class_name, images = options.class_attribute, options.class_name, options.images
    if class_attribute is not None and kind != "VIA":
        raise DatasetError(f"class_attribute = {class_attribute!r}: {folder} holds {kind}; only VIA has attributes")
    if class_attribute is not None and class_name is not None:
        raise DatasetError(f"class_attribute = {class_attribute!r} and class_name = {class_name!r}: give one of them")
    if images is not None and kind in ("masks", "Pascal VOC"):
        raise DatasetError(f"images = {images}: {folder} holds {kind}, whose layout says where the pictures are")
    if kind == "COCO":
        found = find_splits(folder, options.splits, images)
        return Dataset(
            kind, [Split(split.name, str(split.annotations), partial(read_coco, split, options)) for split in found], {}
        )
    return read_pictures(kind, folder, options)


def read_coco(files: SplitFiles, options: ReadOptions) -> Annotations:
    """Reads and checks one split of a COCO data set."""
    images = CocoImages(ImageFinder([files.images]), options)
    return read_annotations(read_json(files.annotations), str(files.annotations), images.locate, options)


def recognise(folder: Path) -> str:
    """Tells the format of a data set from its content.

    Raises:
        DatasetError: It is none that is understood; the message says where those that are are listed.
    """
    if folder.is_dir():
        first = next(iter(split_folders(folder, ()).values()))
        if any(ANNOTATIONS.fullmatch(path.name) for path in annotation_files(folder)):
            return "COCO"
        if voc.is_voc(folder):
            return "Pascal VOC"
        if mask_folder.is_mask_folder(first):
            return "masks"
        found = "in no known format" if any(folder.iterdir()) else "an empty folder"
    elif folder.is_file():
        first, found = folder, "in no known format"
    else:
        raise DatasetError(f"{folder}: no such folder or file")
    for path in json_files(first):
        content = read_json(path)
        if via.pictures_of(content) is not None:
            return "VIA"
        if labelme.is_labelme(content):
            return "labelme"
        if folder.is_file() and isinstance(content, dict) and {"images", "annotations"} & content.keys():
            return "COCO"
    raise DatasetError(f"{folder}: {found}; `python -m maskrcnn_jax prepare --help` says what is understood")


def read_pictures(kind: str, folder: Path, options: ReadOptions) -> Dataset:
    """Reads a data set that is not COCO's; the splits share their classes, in alphabetical order."""
    root = folder if folder.is_dir() else folder.parent
    findings = Findings(str(folder))
    if kind == "Pascal VOC":
        pictures = voc.read(folder, options.splits, findings)
    else:
        folders = split_folders(folder, options.splits)
        if kind == "VIA":
            pictures = via.read(folders, root, options.images, options.class_attribute, options.class_name, findings)
        elif kind == "labelme":
            pictures = labelme.read(folders, root, options.images, findings)
        else:
            pictures = mask_folder.read(folders, root, options.class_name or UNNAMED, findings)
    check_together(pictures, findings)
    findings.close()
    names = sorted({thing.class_name for split in pictures.values() for picture in split for thing in picture.objects})
    splits = []
    for split, inside in pictures.items():
        where = f"{folder} ({split})"
        splits.append(Split(split, where, partial(to_annotations, inside, names, where)))
    return Dataset(kind, splits, findings.dropped)
