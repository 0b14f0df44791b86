"""Cached folder listings, and similar names for a missing image."""

import difflib
import itertools
import os
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from maskrcnn_jax.data.prepare.finder.image_names import Form, readings, same_letters
from maskrcnn_jax.files.reading import AnyPath, kind_of
from maskrcnn_jax.files.walking import files_below
from maskrcnn_jax.messages.counts import MOST_NAMED

MOST_COMPARED, MOST_WALKED = 5000, 200_000
"""Names that a missing one is compared with, and files that are looked at below the data set's folder, at most."""

NO_IMAGES = (".json", ".xml", ".txt", ".csv", ".yaml", ".zip")
"""Endings of annotations, which often lie beside images under the same name."""


class Listings:
    """The names in folders, each folder read once."""

    def __init__(self) -> None:
        self._listings: dict[str, dict[str, list[str]]] = {}

    def of(self, folder: AnyPath) -> dict[str, list[str]]:
        """The names in a folder by their letters without case; none if it is not there or cannot be read."""
        if str(folder) not in self._listings:
            listing: dict[str, list[str]] = defaultdict(list)
            for name in names_in(folder):
                listing[same_letters(name)].append(name)
            self._listings[str(folder)] = dict(listing)
        return self._listings[str(folder)]

    def alike(self, folder: AnyPath, name: str, form: Form) -> list[AnyPath]:
        """What a folder holds that has the same form."""
        if name == "..":
            return [folder / ".."] if isinstance(folder, Path) else []
        inside = self.of(folder).get(same_letters(name), [])
        return [folder / other for other in inside if form(other) == form(name)]


def names_in(folder: AnyPath) -> list[str]:
    """The names in a folder, sorted; none if it is not there or cannot be read."""
    try:
        return sorted(os.listdir(folder) if isinstance(folder, Path) else [path.name for path in folder.iterdir()])
    except (OSError, ValueError):
        return []


class Missing:
    """Describes a missing image by similar names.

    Args:
        listings: What the folders hold.
        folders: Where it was looked for.
        root: The data set's folder.
    """

    def __init__(self, listings: Listings, folders: Sequence[AnyPath], root: AnyPath | None):
        self.listings = listings
        self.folders = folders
        self.root = root
        self._compared = 0

    def hint(self, name: str) -> str:
        """What is there instead of one name; nothing if there is nothing like it."""
        last = next(reversed([parts[-1] for parts in readings(name)]), "")
        if obstacles := self._obstacles(name):
            return "; ".join(obstacles)
        if last in self._elsewhere:
            return f"there is {self._elsewhere[last]}; name its folder with --images"
        similar = self._similar(last)
        return f"there is {', '.join(similar)}" if similar else ""

    def _obstacles(self, name: str) -> list[str]:
        """What is there and is no file that can be read."""
        found = [
            f"{folder} cannot be read ({error})"
            for folder in self.folders
            if isinstance(folder, Path) and (error := error_of(folder))
        ]
        for parts in readings(name):
            for folder in self.folders:
                path = folder.joinpath(*parts)
                if isinstance(path, Path) and os.path.lexists(path):
                    broken = not path.exists()
                    is_kind = "a link to what is not there" if broken else f"{kind_of(path.stat().st_mode)}, not a file"
                    return [*found, f"{path} is {is_kind}"]
        return found

    @cached_property
    def _elsewhere(self) -> dict[str, str]:
        """A file of each name below the data set's folder."""
        found: dict[str, str] = {}
        if isinstance(self.root, Path):
            for path in itertools.islice(files_below(self.root), MOST_WALKED):
                found.setdefault(path.name, str(path))
        return found

    def _similar(self, last: str) -> list[str]:
        """Names in the folders like this one: of another ending, or else of nearly the same letters.

        Only for the first few that are asked for, as messages name no more, and there may be as many as images.
        """
        self._compared += 1
        if self._compared > MOST_NAMED:
            return []
        names = {name for folder in self.folders for same in self.listings.of(folder).values() for name in same}
        names = {name for name in names if not name.lower().endswith(NO_IMAGES)}
        stem = same_letters(PurePosixPath(last).stem)
        if same := sorted(name for name in names if same_letters(PurePosixPath(name).stem) == stem):
            return same[:3]
        near = sorted(names, key=lambda name: (abs(len(name) - len(last)), name))[:MOST_COMPARED]
        stems = {same_letters(PurePosixPath(name).stem): name for name in near}
        return [stems[close] for close in difflib.get_close_matches(stem, stems, n=2, cutoff=0.75)]


def error_of(folder: Path) -> str | None:
    """Why a folder that is there cannot be listed."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        return error.strerror
    return None
