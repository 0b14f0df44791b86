"""An image as an annotation file lists it, before it is found."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.finder.image_file import Located, StoredFile
from maskrcnn_jax.data.prepare.problems import Refused


class ImageEntry(NamedTuple):
    """The entry of an image in an annotation file."""

    image_id: int
    file_name: str
    size: tuple[int, int] | None
    """(height, width), pixels; None where the file does not have it (missing, null, 0 or -1), so that `Located.size` is
    to be taken from the image."""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return f"image {self.image_id} ({self.file_name})"


Locate = Callable[[ImageEntry], Located]
"""Finds an image; raises Refused where it is missing or not as annotated."""


def locate_by_name(entry: ImageEntry) -> Located:
    """Uses the name as a path and the annotated size as that of the stored raster, without reading the file."""
    if entry.size is None:
        raise Refused("images need width and height", entry.name)
    return Located(StoredFile(Path(entry.file_name)), entry.size, upright=False)
