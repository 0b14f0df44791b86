"""Finding the image files that an annotation file names."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from maskrcnn_jax.files.reading import AnyPath


class ImageNotFound(ValueError):
    """No image of this name; the message says where it was looked for and which similar name is there."""


class ImageFinder:
    """Finds images by the names that annotation files give them: one for every format.

    Args:
        folders: Where images may lie, most likely first.
    """

    def __init__(self, folders: Sequence[AnyPath]):
        self.folders = folders

    def find(self, name: str) -> AnyPath:
        """The file of this name.

        Raises:
            ImageNotFound: There is none.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        for folder in self.folders:
            path = folder.joinpath(*parts)
            if path.is_file():
                return path
        raise ImageNotFound(f"{name}: missing; looked for in {', '.join(map(str, self.folders))}")
