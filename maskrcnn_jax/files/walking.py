"""The files below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

DEEPEST = 50
"""Greatest depth of subfolders."""


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files of a folder and its subfolders, nearest folders first, each folder's in the order of names.

    Hidden files and folders are passed over, and so are folders that cannot be listed. Links to files are followed,
    links to folders are not: they may form cycles.
    """
    level = [folder]
    for _ in range(DEEPEST):
        below: list[Path] = []
        for inside in level:
            for path, is_folder in _listed(inside):
                if is_folder:
                    below.append(path)
                else:
                    yield path
        level = below


def _listed(folder: Path) -> list[tuple[Path, bool]]:
    """Regular files and folders in a folder, and whether it is a folder."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.append((folder / entry.name, True))
                elif entry.is_file():
                    found.append((folder / entry.name, False))
    except OSError:
        return []
    return sorted(found)
