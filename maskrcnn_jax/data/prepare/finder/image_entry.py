"""An image as an annotation file lists it, before it is found."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.finder.image_file import Located, StoredFile
from maskrcnn_jax.data.prepare.problems import Refused


class ImageEntry(NamedTuple):
    """What an annotation file says of an image."""

    image_id: int
    file_name: str
    size: tuple[int, int] | None
    """(height, width), pixels; None where the file does not say it (missing, null, 0 or -1), so that `Located.size` is
    to be taken from the image."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"image {self.image_id} ({self.file_name})"


Locate = Callable[[ImageEntry], Located]
"""Finds an image; raises Refused where it is missing or not as annotated."""


def locate_by_name(entry: ImageEntry) -> Located:
    """Takes the name for a path and the annotated size for that of the stored raster, without a look at the file."""
    if entry.size is None:
        raise Refused("images need width and height", entry.name)
    return Located(StoredFile(Path(entry.file_name)), entry.size, upright=False)
