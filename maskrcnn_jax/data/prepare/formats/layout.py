"""The layout of a data set's folder."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.images.file_kind import ENDINGS
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.split_names import SPLITS, storable
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import AnyPath, read_bytes
from maskrcnn_jax.files.walking import files_below


def split_folders(folder: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """Finds the folders of the splits, by name.

    Args:
        folder: Holds `train/`, `val/`, `test/`; without any of these it is itself the only split.
        wanted: Names of the splits; empty for all. An only split is called "train" unless named here.

    Raises:
        DatasetError: There is no such split, or two folders are the same one.
    """
    inside: dict[str, list[Path]] = defaultdict(list)
    for path in visible(folder) if folder.is_dir() else []:
        if path.name.lower() in SPLITS and path.is_dir():
            inside[SPLITS[path.name.lower()]].append(path)
    for split, paths in inside.items():
        if len(paths) > 1:
            both = ", ".join(f"{path.name}/" for path in paths)
            raise DatasetError(f"{folder}: {both} are both the split {split!r}; put their files into one of them")
    found = {split: inside[split][0] for split in ("train", "val", "test") if split in inside}
    if not found:
        if len(wanted) > 1:
            raise DatasetError(f"splits = {', '.join(wanted)}: {folder} is not divided into splits; name one")
        return {storable(wanted[0]) if wanted else "train": folder}
    for name in wanted:
        if name not in found:
            raise DatasetError(f"splits: {folder} has no split {name!r}; it has {', '.join(found)}")
    return {split: path for split, path in found.items() if not wanted or split in wanted}


def visible(folder: Path) -> list[Path]:
    """The entries of a folder, by name, without hidden files."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def image_files(folder: Path) -> list[Path]:
    """A folder's image files, by name; an image by its suffix."""
    return [path for path in visible(folder) if path.suffix.lower() in ENDINGS and path.is_file()]


def json_files(folder: Path) -> list[Path]:
    """JSON files of a folder and its subfolders, those of the folder itself first, or the one file itself."""
    if folder.is_file():
        return [folder]
    return [path for path in files_below(folder) if path.suffix.lower() == ".json"]


def read_json(path: AnyPath) -> Any:
    """Parses a JSON file.

    Raises:
        DatasetError: It is no JSON.
    """
    try:
        return parse_json(read_bytes(path))
    except JsonError as error:
        raise DatasetError(f"{path}: {error}") from error


def relative(path: AnyPath, folder: Path) -> str:
    """A path as seen from a folder, with slashes."""
    return Path(os.path.relpath(str(path), folder)).as_posix()
