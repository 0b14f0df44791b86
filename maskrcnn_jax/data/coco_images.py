"""The images of a COCO annotation file: where each lies and which raster its annotations refer to."""

from typing import NamedTuple

from maskrcnn_jax.data.annotations import ImageEntry, Refused
from maskrcnn_jax.data.image_file import Located, StoredFile
from maskrcnn_jax.data.image_finder import ImageFinder, ImageNotFound
from maskrcnn_jax.data.images import read_header
from maskrcnn_jax.data.read_options import ReadOptions
from maskrcnn_jax.data.source import BrokenImage


class CocoImages(NamedTuple):
    """Locates the images of one split."""

    finder: ImageFinder
    options: ReadOptions

    def locate(self, entry: ImageEntry) -> Located:
        """Finds an image and chooses the raster that has the annotated size, the stored one where both have it.

        Raises:
            Refused: It is missing or no image.
        """
        try:
            file = StoredFile(self.finder.find(entry.file_name))
            header = read_header(file.read(), entry.file_name)
        except (ImageNotFound, BrokenImage, OSError) as error:
            raise Refused("images that cannot be used", str(error)) from error
        if entry.size is None:
            return Located(file, header.size, upright=False)
        return Located(file, entry.size, upright=entry.size != header.size)
