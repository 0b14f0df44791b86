"""Recognising the format of a data set by its content."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.coco.files import ANNOTATIONS, annotation_files
from maskrcnn_jax.data.prepare.formats.json_kinds import COCO, NOT_READ, READ, kind_of
from maskrcnn_jax.data.prepare.formats.layout import json_files, read_json, split_folders, visible
from maskrcnn_jax.data.prepare.formats.mask_folder import is_mask_folder
from maskrcnn_jax.data.prepare.formats.unknown import HELP, describe_file, describe_folder
from maskrcnn_jax.data.prepare.formats.voc import is_voc
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.files.reading import kind_of as kind_of_path
from maskrcnn_jax.messages.counts import shorten_list

log = logging.getLogger(__name__)

MASKS, VOC = "masks", "Pascal VOC"


class Recognised(NamedTuple):
    """The recognised format of a folder or file."""

    kind: str
    """The format: one of `json_kinds.READ`, `MASKS` or `VOC`."""
    folder: Path
    """The data set's own folder, or its annotation file."""
    files: Sequence[Path] = ()
    """COCO's annotation files, where they are not named as COCO names them."""


def recognise(folder: Path) -> Recognised:
    """Recognises the format of a data set.

    Raises:
        DatasetError: It is none that is understood; the message says what it seems to be and where to turn.
    """
    if folder.is_file():
        return recognise_file(folder)
    if not folder.is_dir():
        if not folder.exists():
            raise DatasetError(f"{folder}: no such folder or file")
        raise DatasetError(f"{folder}: is {kind_of_path(folder.stat().st_mode)}; give a folder or a file")
    if any(ANNOTATIONS.fullmatch(path.name) for path in annotation_files(folder)):
        return Recognised(COCO, folder)
    if (devkit := voc_folder(folder)) is not None:
        return Recognised(VOC, devkit)
    if any(is_mask_folder(inside) for inside in split_folders(folder, ()).values()):
        return Recognised(MASKS, folder)
    return recognise_by_json(folder)


def recognise_file(path: Path) -> Recognised:
    """Recognises the format of a file."""
    if (other := describe_file(path)) is not None:
        raise DatasetError(f"{path}: {other}")
    kind = kind_of(read_json(path))
    if kind not in READ:
        raise DatasetError(f"{path}: {kind}; {NOT_READ[kind]}" if kind else f"{path}: in no known format; {HELP}")
    return Recognised(kind, path)


def voc_folder(folder: Path) -> Path | None:
    """The folder itself, or the one `VOC2012/` or `VOCdevkit/VOC2012/` in it, if it is laid out as Pascal VOC.

    Raises:
        DatasetError: There are several.
    """
    if is_voc(folder):
        return folder
    outer = [path for path in visible(folder) if path.name.upper().startswith("VOC") and path.is_dir()]
    inner = [path for kit in outer if not is_voc(kit) for path in visible(kit) if path.is_dir()]
    found = [path for path in [*outer, *inner] if is_voc(path)]
    if len(found) > 1:
        raise DatasetError(f"{folder}: holds several data sets, {shorten_list(found)}; give one of them")
    return found[0] if found else None


def recognise_by_json(folder: Path) -> Recognised:
    """Recognises the format of the JSON files of a folder; the first that is understood decides."""
    broken: list[str] = []
    not_read: dict[str, str] = {}
    chosen: str | None = None
    found: list[Path] = []
    for path in json_files(folder):
        try:
            kind = kind_of(read_json(path))
        except (DatasetError, OSError) as error:
            broken.append(str(error))
            continue
        if kind in READ and chosen is None:
            chosen = kind
        if chosen not in (None, COCO):
            return Recognised(chosen, folder)
        if kind == COCO:
            found.append(path)
        elif kind is not None:
            not_read.setdefault(str(path), kind)
    if chosen is not None:
        for name, what in not_read.items():
            log.warning("%s: %s, left out beside COCO's annotations", name, what)
        for message in broken:
            log.warning("left out %s", message)
        return Recognised(chosen, folder, found)
    for name, what in not_read.items():
        raise DatasetError(f"{name}: {what}; {NOT_READ[what]}")
    if broken:
        raise DatasetError(broken[0])
    raise DatasetError(f"{folder}: {describe_folder(folder)}")
