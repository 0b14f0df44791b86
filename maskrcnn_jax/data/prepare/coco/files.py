"""Finding annotations and images of a COCO-format data set, unpacked or as the official zips."""

import itertools
import re
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.split_names import SPLITS, split_in, storable
from maskrcnn_jax.files.reading import AnyPath

ANNOTATIONS = re.compile(r"instances_(.+)\.json")
YEAR = re.compile(r"(?<=[A-Za-z])(19|20)[0-9]{2}$")

IMAGE_FOLDERS = ("images", "data", "JPEGImages")
"""Folders in which exporters put the images of all splits."""


class SplitFiles(NamedTuple):
    """The files of one split."""

    name: str
    """Name of the prepared split."""
    annotations: AnyPath
    folders: list[AnyPath]
    """Folders that may hold its images, most likely first."""
    root: Path
    """The data set's folder, which holds all of it."""


def find_splits(folder: Path, wanted: Sequence[str], files: Sequence[Path] = ()) -> list[SplitFiles]:
    """Finds the splits of a COCO-format data set.

    Args:
        folder: The data set's folder, or one annotation file.
        wanted: Names of the splits; empty for all. A year at the end may be left out: "train" is train2017 where
            there is no other year. An only annotation file whose name says no split makes "train", unless named here.
        files: The annotation files below the folder, where it has no `annotations/instances_<split>.json`, nor zips
            of these as they are downloaded (`annotations_trainval2017.zip`).

    Returns:
        The splits, named without year where that is clear.

    Raises:
        DatasetError: There is no such split, or two files are the same one.
    """
    if folder.is_file():
        if len(wanted) > 1:
            raise DatasetError(f"splits = {wanted}: {folder} is one annotation file, which makes one split; name one")
        root = folder.parent.parent if folder.parent.name.lower() == "annotations" else folder.parent
        named = split_of_file(folder) or "train"
        return [
            SplitFiles(storable(wanted[0]) if wanted else "train", folder, image_folders(root, named, folder), root)
        ]
    found = named_files(folder) or unnamed_files(folder, files, wanted)
    names = shortened(list(found))
    for name in wanted:
        if name not in names and name not in names.values():
            raise DatasetError(f"splits: {folder} has no split {name!r}; it has {', '.join(names.values())}")
    return [
        SplitFiles(short, found[full], image_folders(folder, full, found[full]), folder)
        for full, short in names.items()
        if not wanted or short in wanted or full in wanted
    ]


def named_files(folder: Path) -> dict[str, AnyPath]:
    """The annotation files whose names say their split, by this; one that was unpacked goes before its archive's."""
    found = [(match[1], path) for path in annotation_files(folder) if (match := ANNOTATIONS.fullmatch(path.name))]
    unpacked = {name for name, path in found if isinstance(path, Path)}
    return by_split(folder, [(name, path) for name, path in found if isinstance(path, Path) or name not in unpacked])


def unnamed_files(folder: Path, files: Sequence[Path], wanted: Sequence[str]) -> dict[str, AnyPath]:
    """The annotation files by the split that their name says, or their folder's, or else by their own name."""
    if len(files) == 1 and len(wanted) <= 1:
        return {wanted[0] if wanted else split_of_file(files[0], folder) or "train": files[0]}
    return by_split(folder, [(split_of_file(path, folder) or path.stem, path) for path in files])


def split_of_file(path: Path, root: Path | None = None) -> str | None:
    """The split that the name of an annotation file says, or else that of its folder, if that is not the root."""
    if match := ANNOTATIONS.fullmatch(path.name):
        return match[1]
    return split_in(path.stem) or (split_in(path.parent.name) if path.parent != root else None)


def by_split(folder: Path, found: Sequence[tuple[str, AnyPath]]) -> dict[str, AnyPath]:
    """One file for each split.

    Raises:
        DatasetError: There are two.
    """
    files: dict[str, list[AnyPath]] = defaultdict(list)
    for name, path in found:
        files[name].append(path)
    for name, paths in files.items():
        if len(paths) > 1:
            raise DatasetError(
                f"{folder}: the split {name!r} has {len(paths)} annotation files, {', '.join(map(str, paths))}; "
                "name the one to read (prepare FILE), or move the others away"
            )
    return {name: paths[0] for name, paths in files.items()}


def shortened(names: Sequence[str]) -> dict[str, str]:
    """What each split is called: without year, and "val" for "Validation", where that tells it from the others.

    Raises:
        DatasetError: Two would be called the same.
    """
    plain = [YEAR.sub("", name) for name in names]
    short = [storable(SPLITS.get(name.lower(), name)) for name in plain]
    full = [storable(name) for name in names]
    chosen = [s if short.count(s) == 1 else f for s, f in zip(short, full, strict=True)]
    for name, other in itertools.combinations(range(len(names)), 2):
        if chosen[name] == chosen[other]:
            both = f"{names[name]!r} and {names[other]!r}"
            raise DatasetError(f"splits {both} would both be called {chosen[name]!r}; rename one of their files")
    return dict(zip(names, chosen, strict=True))


def annotation_files(folder: Path) -> list[AnyPath]:
    """The files in `annotations/`, in the folder and in its zips."""
    found: list[AnyPath] = []
    roots: list[AnyPath] = [folder / "annotations"]
    roots += [opened(path) / "annotations" for path in sorted(folder.glob("annotations*.zip"))]
    for inside in roots:
        if inside.is_dir():
            found += sorted((path for path in inside.iterdir() if path.is_file()), key=lambda path: path.name)
    return found


def image_folders(root: Path, split: str, annotations: AnyPath) -> list[AnyPath]:
    """The folders, also in zips, that may hold a split's images, most likely first."""
    beside = annotations.parent if isinstance(annotations, Path) else root
    plain = YEAR.sub("", split)
    others = [name for name, called in SPLITS.items() if called == SPLITS.get(plain.lower())]
    names = [split, plain, *others]
    tried: list[AnyPath] = [parent / name for parent in (root, root / "images") for name in names]
    for path in sorted(root.glob("*.zip"), key=lambda path: (path.stem != split, path.name)):
        if not path.name.startswith("annotations"):
            archive = opened(path)
            tried += [archive / path.stem, archive]
    tried += [folder / name for folder in (root, beside) for name in IMAGE_FOLDERS] + [beside, root]
    return list({str(path): path for path in tried if path.is_dir()}.values())


def opened(path: Path) -> zipfile.Path:
    """The inside of a ZIP archive.

    Raises:
        DatasetError: It is none.
    """
    try:
        return zipfile.Path(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DatasetError(
            f"{path}: not a ZIP archive that can be read ({error}); fetch it again, or move it away"
        ) from error
