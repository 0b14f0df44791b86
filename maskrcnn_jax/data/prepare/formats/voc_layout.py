"""Where the parts of a Pascal VOC data set lie, as VOC itself and the tools that write its format have them.

`Annotations/` and `JPEGImages/` (or `images/`, and in other case); or XML files beside the images, as labelImg and
Roboflow write them; or without XML `SegmentationObject/`, `SegmentationClass/` and `class_names.txt`, as labelme
exports them.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.formats.labeled_image import Findings
from maskrcnn_jax.data.prepare.formats.layout import image_files, visible
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.split_names import SPLITS
from maskrcnn_jax.files.reading import read_bytes

CLASS_NAMES = "class_names.txt"
"""labelme's list of the classes that SegmentationClass shows, the background first."""

LIST_LINE = re.compile(r"(.*\S)\s+-?[01]")
"""A line of a list of one class: the second column says whether it is there."""

ROOT_ELEMENT = re.compile(rb"<annotation[\s>/]")


class Layout(NamedTuple):
    """The folders of a data set, or of one of its splits."""

    root: Path
    annotations: Path | None
    """Holds the XML files, also in subfolders."""
    objects: Path | None
    """Images whose pixels are numbers of objects."""
    classes: Path | None
    """Images whose pixels are numbers of classes."""

    def xml_files(self) -> dict[str, Path]:
        """The XML files by name, without ending and with the subfolders."""
        return {} if self.annotations is None else xml_files(self.annotations)


def layout_of(folder: Path) -> Layout | None:
    """The layout of a folder; None if it is not Pascal VOC."""
    objects = next(
        (path for name in ("SegmentationObject", "SegmentationObjectPNG") if holds(path := folder / name)), None
    )
    classes = next(
        (path for name in ("SegmentationClass", "SegmentationClassPNG") if holds(path := folder / name)), None
    )
    for path in folders_in(folder):
        if path.name.casefold() == "annotations":
            inside = [path, *folders_in(path)]
            direct = next((place for place in inside if any(is_annotation(xml) for xml in xmls_in(place))), None)
            if direct is not None:
                return Layout(folder, path if direct == path or len(folders_in(path)) > 1 else direct, objects, classes)
    if any(is_annotation(xml) for xml in xmls_in(folder)):
        return Layout(folder, folder, objects, classes)
    is_exported = objects is not None and (folder / CLASS_NAMES).is_file()
    return Layout(folder, None, objects, classes) if is_exported else None


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none if there is no such folder."""
    return [path for path in visible(folder) if path.is_dir()] if folder.is_dir() else []


def holds(folder: Path) -> bool:
    """Whether a folder is there and holds images."""
    return folder.is_dir() and bool(image_files(folder))


def xmls_in(folder: Path) -> list[Path]:
    """The XML files in a folder, by name."""
    return [path for path in visible(folder) if path.suffix.lower() == ".xml" and path.is_file()]


def is_annotation(path: Path) -> bool:
    """Whether an XML file begins as VOC's do, or as nothing else: damaged ones are reported when they are read."""
    with path.open("rb") as file:
        start = file.read(4096)
    return bool(ROOT_ELEMENT.search(start)) or not re.search(rb"<[A-Za-z]", start)


def xml_files(folder: Path) -> dict[str, Path]:
    """The XML files of a folder and its subfolders, by name without ending and with the subfolders."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() == ".xml" and path.is_file())
    inside = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(found)}
    return {name: path for name, path in inside.items() if not name.startswith(".") and "/." not in name}


def image_folders(layout: Layout) -> list[Path]:
    """Where the images may lie."""
    usual = [path for path in folders_in(layout.root) if path.name.casefold() in ("jpegimages", "images")]
    beside = [layout.annotations] if layout.annotations is not None and holds(layout.annotations) else []
    return [*sorted(usual, key=lambda path: path.name.casefold() != "jpegimages"), *beside, layout.root]


def splits_of(layout: Layout, wanted: Sequence[str], everything: list[str], findings: Findings) -> dict[str, list[str]]:
    """The names of each split's images: what `ImageSets/` lists, for segmentation if there are masks.

    Args:
        layout: Of the data set.
        wanted: Names of lists; empty for train and val. Without lists all is one split, called "train" unless named
            here.
        everything: The names of all images.
        findings: Notes names that are listed twice.

    Raises:
        DatasetError: There is no such list.
    """
    sets = layout.root / "ImageSets"
    kinds = [sets / kind for kind in (["Segmentation"] if layout.objects is not None else []) + ["Main"]]
    chosen = next((kind for kind in kinds if kind.is_dir()), kinds[-1])
    lists = {path.stem: path for path in visible(chosen) if path.suffix == ".txt"} if chosen.is_dir() else {}
    if not lists:
        if len(wanted) > 1:
            raise DatasetError(
                f"splits = {', '.join(wanted)}: {layout.root} has no ImageSets/ that divides it; name one"
            )
        tops = {name.partition("/")[0] if "/" in name else "" for name in everything}
        if tops and tops <= SPLITS.keys():
            divided = {SPLITS[top]: [name for name in everything if name.startswith(f"{top}/")] for top in sorted(tops)}
            return {name: names for name, names in divided.items() if not wanted or name in wanted}
        return {wanted[0] if wanted else "train": everything}
    names = list(wanted) or [name for name in ("train", "val") if name in lists]
    only = lists.get("trainval") or (next(iter(lists.values())) if len(lists) == 1 else None)
    if not names and only is not None:
        return {"train": names_in(only, everything, findings)}
    if not names or not lists.keys() >= set(names):
        asked = ", ".join(wanted) or "train, val"
        raise DatasetError(f"splits = {asked}: {chosen} lists {', '.join(lists)}; name some of these (--splits)")
    return {name: names_in(lists[name], everything, findings) for name in names}


def names_in(path: Path, known: Sequence[str], findings: Findings) -> list[str]:
    """The names in a list, each once; lists of one class have a second column.

    Raises:
        DatasetError: It is no text.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: its text is not UTF-8 (byte {error.start}); convert it") from error
    there = set(known)
    names: dict[str, None] = {}
    for line in (line.strip().strip('"') for line in text.splitlines()):
        match = None if line in there else LIST_LINE.fullmatch(line)
        name = match[1].strip('"') if match else line
        if name in names:
            findings.warnings.add("took images once that a list names several times", f"{path.name}: {name}")
        if name:
            names[name] = None
    return list(names)
