"""The file of an image in a data set."""

from typing import NamedTuple, Protocol

from maskrcnn_jax.files.reading import AnyPath, read_bytes


class ImageFile(Protocol):
    """An encoded image that can be read when it is needed."""

    def read(self) -> bytes:
        """Returns the encoded image.

        Raises:
            OSError: It cannot be read, also from a damaged ZIP archive, or is no regular file.
            BrokenImage: What holds it is damaged.
        """
        ...


class StoredFile(NamedTuple):
    """An image file of its own, on the disk or in a ZIP archive."""

    path: AnyPath

    def read(self) -> bytes:
        """Returns the content of the file."""
        return read_bytes(self.path)


class Located(NamedTuple):
    """An image that was found, and the raster that its annotations refer to."""

    file: ImageFile
    size: tuple[int, int]
    """(height, width) of the raster that the annotations refer to, pixels."""
    upright: bool
    """Whether that is the raster turned by the file's EXIF orientation, not the one that is stored."""
