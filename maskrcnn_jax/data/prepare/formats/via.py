"""VGG Image Annotator: the JSON that it exports, or a project, of versions 1 and 2.

Points refer to the image as browsers show it, upright as its EXIF orientation says.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.images.reading import Header
from maskrcnn_jax.data.prepare.finder.image_file import StoredFile
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder
from maskrcnn_jax.data.prepare.formats.labeled_image import UNNAMED, Findings, LabeledImage
from maskrcnn_jax.data.prepare.formats.layout import json_files, read_json, relative
from maskrcnn_jax.data.prepare.formats.via_classes import choose_attribute
from maskrcnn_jax.data.prepare.formats.via_regions import read_regions
from maskrcnn_jax.data.prepare.json_values import shown
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.files.reading import AnyPath


class Entry(NamedTuple):
    """The entry of an image in a VIA file."""

    path: Path
    """The VIA file."""
    file_name: str
    regions: list[Any]

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return f"{self.path.name}: {self.file_name}"


class Found(NamedTuple):
    """An image that is there."""

    entry: Entry
    path: AnyPath
    header: Header


def images_of(content: Any) -> list[Any] | None:
    """The unchecked image entries of a VIA file; None if the JSON is something else."""
    if not isinstance(content, dict):
        return None
    if "_via_img_metadata" in content:
        inside = content["_via_img_metadata"]
        return list(inside.values()) if isinstance(inside, dict) else [inside]
    entries = list(content.values())
    is_via = any(isinstance(entry, dict) and {"filename", "regions"} <= entry.keys() for entry in entries)
    return entries if is_via else None


def read(
    folders: Mapping[str, Path], root: Path, options: ReadOptions, findings: Findings
) -> dict[str, list[LabeledImage]]:
    """Reads the VIA files of each split.

    Args:
        folders: The folder or file of each split.
        root: What file names are relative to.
        options: The user's choices.
        findings: Notes problems.

    Raises:
        DatasetError: A split has no VIA file, or the class attribute cannot be told.
    """
    entries = {split: read_entries(folder, findings) for split, folder in folders.items()}
    regions = [region for found in entries.values() for entry in found for region in entry.regions]
    where = ", ".join(dict.fromkeys(str(entry.path) for found in entries.values() for entry in found))
    attribute = None if options.class_name else choose_attribute(regions, options.class_attribute, where)
    images: dict[str, list[LabeledImage]] = {}
    for split, found in entries.items():
        finders: dict[Path, ImageFinder] = {}
        by_image: dict[AnyPath, list[Found]] = defaultdict(list)
        for entry in found:
            beside = entry.path.parent
            if beside not in finders:
                folders_of_images = [beside, beside / "images", root, root / "images"]
                finders[beside] = ImageFinder.of(options, folders_of_images, root)
            if (image := findings.find(finders[beside], entry.file_name)) is not None:
                by_image[image[0]].append(Found(entry, *image))
        images[split] = [
            read_image(image, root, attribute, options.class_name or UNNAMED, findings)
            for same in by_image.values()
            for image in once(same, findings)
        ]
    return images


def read_image(image: Found, root: Path, attribute: str | None, only_class: str, findings: Findings) -> LabeledImage:
    """Reads the objects of one image."""
    size = image.header.size_of(upright=True)
    objects = read_regions(image.entry.regions, size, attribute, only_class, image.entry.name, findings)
    return LabeledImage(relative(image.path, root), size, objects, StoredFile(image.path), upright=True)


def read_entries(folder: Path, findings: Findings) -> list[Entry]:
    """The images of a split's VIA files; what cannot be read is noted.

    Raises:
        DatasetError: There is no VIA file.
    """
    found = {path: entries for path in json_files(folder) if (entries := images_of(read_json(path))) is not None}
    if not found:
        raise DatasetError(f"{folder}: holds no VIA file; add it, or name the splits that have one (--splits)")
    checked = []
    for path, entries in found.items():
        for number, entry in enumerate(entries):
            named = f"{path.name} entry {number}"
            name = entry.get("filename") if isinstance(entry, dict) else None
            if not (isinstance(name, str) and name.strip()):
                what = f"filename {shown(name)}" if isinstance(entry, dict) else shown(entry)
                findings.problems.add("entries without the name of an image", f"{named} ({what})")
                continue
            # Version 1 numbers the regions in a dictionary, version 2 lists them.
            regions = entry.get("regions")
            if isinstance(regions, dict):
                regions = list(regions.values())
            if not isinstance(regions, list | None):
                findings.problems.add("images whose regions are no list", f"{path.name}: {name} ({shown(regions)})")
                continue
            checked.append(Entry(path, name, regions or []))
    return checked


def once(same: Sequence[Found], findings: Findings) -> list[Found]:
    """The entries of one image in several VIA files, such as a project and its export; equal ones only once."""
    annotated = [found for found in same if found.entry.regions] or same
    if len(annotated) < len(same) and len({found.entry.path for found in same}) > 1:
        # Parts of a team's work: each file lists all images and annotates some.
        what = "took the regions of one VIA file for images that others list without any"
        findings.warnings.add(what, annotated[0].entry.name)
        same = annotated
    first, *others = same
    kept = [first]
    for other in others:
        if other.entry.path == first.entry.path:
            kept.append(other)  # Twice in one file: `check_together` reports it.
        elif other.entry.regions == first.entry.regions:
            findings.warnings.add("took images once that several VIA files annotate alike", other.entry.name)
        else:
            what = "images that several VIA files annotate differently; remove one of the annotations"
            findings.problems.add(what, f"{first.entry.file_name} ({first.entry.path.name}, {other.entry.path.name})")
    return kept
