"""The images of a COCO annotation file: their files and the raster that annotations refer to."""

import logging

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import Header, read_header
from maskrcnn_jax.data.prepare.finder.image_entry import ImageEntry
from maskrcnn_jax.data.prepare.finder.image_file import Located, StoredFile
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder, ImageNotFound
from maskrcnn_jax.data.prepare.problems import Refused
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.messages.counts import pluralize, shorten_list

log = logging.getLogger(__name__)

UNUSABLE = "images that cannot be used"
OTHER_SIZE = "images of another size than their entry says; correct width and height there, or give the right file"


class CocoImages:
    """Locates the images of one split.

    COCO's format does not say whether coordinates refer to the raster that a file stores or to the one turned by its
    EXIF orientation. What the user says holds; else the size tells, if it is that of one raster alone; else it is the
    stored one, as COCO's own tools read it.

    Args:
        finder: Finds the files.
        options: The user's choices.
    """

    def __init__(self, finder: ImageFinder, options: ReadOptions):
        self.finder = finder
        self.options = options
        self.turned: dict[bool, list[str]] = {False: [], True: []}
        """Images whose EXIF orientation exchanges or mirrors sides, by whether the upright raster was taken."""

    def locate(self, entry: ImageEntry) -> Located:
        """Finds an image and chooses the raster that its annotations refer to.

        Raises:
            Refused: It is missing, no image, or of another size.
        """
        try:
            file = StoredFile(self.finder.find(entry.file_name))
            header = read_header(file.read(), entry.file_name)
        except ImageNotFound as missing:
            raise Refused(missing.problem, missing.offender) from missing
        except (BrokenImage, OSError) as error:
            raise Refused(UNUSABLE, str(error)) from error
        fitting = [upright for upright in (False, True) if entry.size in (None, header.size_of(upright))]
        if entry.size is not None and not fitting:
            has, says = (f"{height}×{width}" for height, width in (header.size, entry.size))
            raise Refused(OTHER_SIZE, f"{entry.file_name} (the file has {has} pixels, height×width, the entry {says})")
        upright = self.choose(fitting, header)
        if header.orientation != 1:
            self.turned[upright].append(entry.file_name)
        return Located(file, header.size_of(upright), upright)

    def choose(self, fitting: list[bool], header: Header) -> bool:
        """Whether annotations refer to the upright raster, given those that have the annotated size."""
        if header.orientation == 1:
            return False
        return fitting[0] if self.options.raster is None else self.options.raster == "upright"

    def warn(self, where: str) -> None:
        """Logs once which raster was used, if any image has an EXIF orientation and the user did not choose."""
        if self.options.raster is not None:
            return
        for upright, names in self.turned.items():
            if names:
                log.warning(
                    "%s: %s with an EXIF orientation; COCO does not say which raster annotations refer to, took the %s "
                    "one (--raster stored or --raster upright chooses): %s",
                    where,
                    pluralize(len(names), "image"),
                    "upright" if upright else "stored",
                    shorten_list(names),
                )
