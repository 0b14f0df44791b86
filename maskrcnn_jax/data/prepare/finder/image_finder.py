"""Finding the image files that annotation files name: one finder for every format."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from maskrcnn_jax.data.prepare.finder.image_listings import Listings, Missing
from maskrcnn_jax.data.prepare.finder.image_names import FORMS, Form, Parts, ends, readings
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.files.reading import AnyPath


class ImageNotFound(ValueError):
    """No image of this name; the message names the folders that were searched and a similar name.

    Args:
        name: The name.
        what: What it is, with the remedy.
        hint: What is particular to this one.
    """

    def __init__(self, name: str, what: str, hint: str = ""):
        self.problem = f"images that are {what}"
        """What many images may have in common, for a list of these; `offender` is the one image."""
        self.offender = f"{name or 'an empty name'}{hint and f' ({hint})'}"
        super().__init__(f"{name or 'an empty name'}: {what}{hint and f' ({hint})'}")


class ImageFinder:
    r"""Finds images by the names that annotation files give them.

    A name may be of another system or machine (`C:\mine\a.jpg`, `/home/me/a.jpg`, `..\..\media\upload\4\a.jpg`), a
    URL, percent-encoded, or differ from the file's in Unicode form or case. The whole name in the first folder that has
    it is preferred; then other forms of it and its shorter ends, if just one file of all folders is meant.

    Args:
        folders: Where images may lie, most likely first; folders that are not there are passed over.
        root: The data set's folder: images outside it, also by links, are refused. None if the user named the
            folders: then images lie in these.
        outside: Whether images may lie anywhere.
    """

    def __init__(self, folders: Sequence[AnyPath], root: AnyPath | None = None, outside: bool = False):
        self.folders = list({str(folder): folder for folder in folders}.values())
        self.root = root
        self.outside = outside
        self._listings = Listings()
        self._real_folders: dict[str, str] = {}
        self._taken: dict[str, tuple[str, bool]] = {}

    @classmethod
    def of(cls, options: ReadOptions, folders: Sequence[AnyPath], root: AnyPath) -> "ImageFinder":
        """The finder that follows the user's choices: in `options.images` alone if it is named, else in `folders`."""
        if options.images is not None:
            return cls([options.images], None, options.outside_images)
        return cls(folders, root, options.outside_images)

    def find(self, name: str) -> AnyPath:
        """The file of this name.

        Raises:
            ImageNotFound: There is none, there are several, or it lies outside the data set's folder.
        """
        refused: list[ImageNotFound] = []
        whole = list(readings(name))
        for path in itertools.chain(self._absolute(name), self._exact(whole)):
            if self._allowed(name, path, refused):
                return self._take(name, path, guessed=False)
        for alike in self._guesses(whole):
            if found := [path for path in alike if self._allowed(name, path, refused)]:
                return self._take(name, self._only(name, found), guessed=True)
        if refused:
            raise refused[0]
        where = ", ".join(map(str, self.folders)) or str(self.root)
        what = f"missing, looked for in {where}; add the files, or name their folder (--images)"
        raise ImageNotFound(name, what, self._missing.hint(name))

    @cached_property
    def _missing(self) -> Missing:
        return Missing(self._listings, self.folders, self.root)

    def _absolute(self, name: str) -> list[Path]:
        """The very path; those of another machine are not there, and their ends are looked for."""
        return [Path(name)] if os.path.isabs(name) and is_file(Path(name)) else []

    def _exact(self, names: Iterable[Parts]) -> Iterator[AnyPath]:
        for parts in names:
            for folder in self.folders:
                path = folder.joinpath(*parts)
                if is_file(path):
                    yield path

    def _guesses(self, whole: Sequence[Parts]) -> Iterator[list[AnyPath]]:
        """Files that may be meant, likeliest first; those of one list are equally likely."""
        for form in FORMS:
            yield self._alike(whole, form)
        for end in sorted({end for parts in whole for end in ends(parts)}, key=len, reverse=True):
            yield list(self._exact([end]))
            for form in FORMS:
                yield self._alike([end], form)

    def _alike(self, names: Iterable[Parts], form: Form) -> list[AnyPath]:
        """The files whose paths below the folders have this form."""
        found: dict[str, AnyPath] = {}
        for parts in names:
            paths: list[AnyPath] = list(self.folders)
            for part in parts:
                paths = [inside for path in paths for inside in self._listings.alike(path, part, form)]
            found |= {str(path): path for path in paths if is_file(path)}
        return list(found.values())

    def _only(self, name: str, found: Sequence[AnyPath]) -> AnyPath:
        """The one file that is meant."""
        different = {self._real(path) if isinstance(path, Path) else str(path): path for path in found}
        if len(different) > 1:
            files = ", ".join(map(str, different.values()))
            raise ImageNotFound(name, "ambiguous; keep one file, or name its folder (--images)", f"may be {files}")
        return found[0]

    def _take(self, name: str, path: AnyPath, guessed: bool) -> AnyPath:
        """Ensures that no file is guessed for two names."""
        earlier, was_guessed = self._taken.setdefault(str(path), (name, guessed))
        if earlier != name and (guessed or was_guessed):
            what = "missing, the file that is like it being that of another name; put each where its name says"
            raise ImageNotFound(name, what, f"{path} is also {earlier}")
        return path

    def _allowed(self, name: str, path: AnyPath, refused: list[ImageNotFound]) -> bool:
        """Whether an image is in an allowed folder; notes it if not."""
        if self.outside or not isinstance(path, Path):
            return True
        real = self._real(path)
        if any(real.startswith(os.path.join(bound, "")) for bound in self._bounds):
            return True
        where = ", ".join(map(str, self.folders if self.root is None else [self.root]))
        hint = f"{path}, which is {real}" if os.path.normpath(os.path.abspath(path)) != real else real
        refused.append(ImageNotFound(name, f"outside {where}; allow such images with --outside-images", hint))
        return False

    @cached_property
    def _bounds(self) -> list[str]:
        """The folders in which images may lie, without links."""
        named = self.folders if self.root is None else [self.root]
        return [os.path.realpath(folder) for folder in named if isinstance(folder, Path)]

    def _real(self, path: Path) -> str:
        """The path without links; the folders' are kept, as they hold many images."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)


def is_file(path: AnyPath) -> bool:
    """Whether there is a regular file, or a link to one; False for names that no file can have."""
    return os.path.isfile(path) if isinstance(path, Path) else path.is_file()
