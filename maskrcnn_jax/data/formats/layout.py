"""Where files lie in a data set's folder."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import AnyPath, read_bytes

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of folders that hold a split, and the split's name."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def split_folders(folder: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """Finds the folders of the splits, by name.

    Args:
        folder: Holds `train/`, `val/`, `test/`; without any of these it is itself the only split.
        wanted: Names of the splits; empty for all. An only split is called "train" unless named here.

    Raises:
        DatasetError: There is no such split.
    """
    if folder.is_dir():
        inside = {path.name: path for path in visible(folder) if path.is_dir()}
        found = {split: inside[name] for name, split in SPLITS.items() if name in inside}
    if not folder.is_dir() or not found:
        if len(wanted) > 1:
            raise DatasetError(f"splits = {', '.join(wanted)}: {folder} is not divided into splits; name one")
        return {wanted[0] if wanted else "train": folder}
    for name in wanted:
        if name not in found:
            raise DatasetError(f"splits: {folder} has no split {name!r}; it has {', '.join(found)}")
    return {split: path for split, path in found.items() if not wanted or split in wanted}


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without the hidden files that systems leave behind."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def pictures_in(folder: Path) -> list[Path]:
    """A folder's image files, by name; an image by its suffix."""
    return [path for path in visible(folder) if path.suffix.lower() in PICTURES and path.is_file()]


def json_files(folder: Path) -> list[Path]:
    """JSON files of a folder and its subfolders, or the one file itself."""
    if folder.is_file():
        return [folder]
    found = folder.rglob("*.json")
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def read_json(path: AnyPath) -> Any:
    """Parses a JSON file.

    Raises:
        DatasetError: It is no JSON.
    """
    try:
        return parse_json(read_bytes(path))
    except JsonError as error:
        raise DatasetError(f"{path}: {error}") from error


def find_picture(name: str, folders: Iterable[Path]) -> Path:
    """The first file of this name in one of the folders; in the first folder if there is none."""
    paths = [folder / name for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0])


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
