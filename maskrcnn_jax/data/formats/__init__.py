"""Data sets in the formats of annotation tools, read as COCO instances dictionaries.

What a folder holds is told from its content: COCO's layout, Pascal VOC, masks, VIA or labelme. A reader gives
`Picture`s by split; `to_coco` writes them as the one dictionary that `prepare` checks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.coco_files import ANNOTATIONS, AnyPath, annotation_files, find_splits
from maskrcnn_jax.data.formats import labelme, mask_folder, via, voc
from maskrcnn_jax.data.formats.layout import json_files, read_json, split_folders
from maskrcnn_jax.data.formats.picture import UNNAMED, Findings, check_together, to_coco


class Split(NamedTuple):
    """One split of a data set."""

    name: str
    where: str
    """What messages call its annotations."""
    read: Callable[[], Any]
    """Gives the COCO instances dictionary."""
    images: AnyPath
    """The folder that its file names start from."""


def open_dataset(
    folder: Path,
    wanted: Sequence[str] = (),
    images: Path | None = None,
    class_attribute: str | None = None,
    class_name: str | None = None,
) -> list[Split]:
    """Recognises a data set and finds its splits.

    Args:
        folder: The data set, a folder or for COCO, VIA and labelme a JSON file.
        wanted: Names of the splits; empty for all.
        images: Image folder of COCO, VIA or labelme, if it is not beside the annotations.
        class_attribute: The region attribute of VIA that says the class.
        class_name: What to call all objects of formats that need not name them, VIA and masks; None for the names
            that there are, or "object".

    Raises:
        DatasetError: It is none that is understood, or cannot be read; the message names the files and the remedy.
    """
    kind = recognise(folder)
    if class_attribute is not None and kind != "VIA":
        raise DatasetError(f"class_attribute = {class_attribute!r}: {folder} holds {kind}; only VIA has attributes")
    if class_attribute is not None and class_name is not None:
        raise DatasetError(f"class_attribute = {class_attribute!r} and class_name = {class_name!r}: give one of them")
    if images is not None and kind in ("masks", "Pascal VOC"):
        raise DatasetError(f"images = {images}: {folder} holds {kind}, whose layout says where the pictures are")
    if kind == "COCO":
        return [
            Split(split.name, str(split.annotations), partial(read_json, split.annotations), split.images)
            for split in find_splits(folder, wanted, images)
        ]
    return read_pictures(kind, folder, wanted, images, class_attribute, class_name)


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


def read_pictures(
    kind: str,
    folder: Path,
    wanted: Sequence[str],
    images: Path | None,
    class_attribute: str | None,
    class_name: str | None,
) -> list[Split]:
    """Reads a data set that is not COCO's; the splits share their classes, in alphabetical order."""
    root = folder if folder.is_dir() else folder.parent
    findings = Findings(str(folder))
    if kind == "Pascal VOC":
        pictures = voc.read(folder, wanted, findings)
    else:
        folders = split_folders(folder, wanted)
        if kind == "VIA":
            pictures = via.read(folders, root, images, class_attribute, class_name, findings)
        elif kind == "labelme":
            pictures = labelme.read(folders, root, images, findings)
        else:
            pictures = mask_folder.read(folders, root, class_name or UNNAMED, findings)
    check_together(pictures, findings)
    findings.close()
    names = sorted({thing.class_name for split in pictures.values() for picture in split for thing in picture.objects})
    return [
        Split(split, f"{folder} ({split})", partial(to_coco, inside, names), root) for split, inside in pictures.items()
    ]
