"""Decoding every image once before it is written."""

import logging
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
from tqdm import tqdm

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import decode
from maskrcnn_jax.data.prepare.annotated import AnnotatedImage
from maskrcnn_jax.data.prepare.finder.image_file import ImageFile
from maskrcnn_jax.data.prepare.problems import Problems
from maskrcnn_jax.messages.counts import pluralize, shorten_list

log = logging.getLogger(__name__)

ALMOST_BLACK = 15
"""The 8-bit value of 12-bit white that is stored in 16 bits: 4095 / 256."""


class Checked(NamedTuple):
    """An image that was decoded once; when it is read again, it must not have changed."""

    file: ImageFile
    name: str
    checksum: int

    def read(self) -> bytes:
        """Returns the encoded image.

        Raises:
            BrokenImage: It cannot be read any more, or has changed.
        """
        try:
            data = self.file.read()
        except OSError as error:
            raise BrokenImage(f"{self.name}: could be read when it was checked, but not again ({error})") from error
        if zlib.crc32(data) != self.checksum:
            raise BrokenImage(f"{self.name}: has changed since it was checked; prepare the data set again")
        return data


def check_images(images: Sequence[AnnotatedImage], where: str) -> list[AnnotatedImage]:
    """Decodes every image once.

    Args:
        images: Their files are read.
        where: The name of their annotations, for messages.

    Returns:
        The images, whose files are `Checked`.

    Raises:
        DatasetError: Names those that are missing, truncated, no images, or of another size than annotated.
    """

    def checked(image: AnnotatedImage) -> tuple[AnnotatedImage, bool] | str:
        try:
            data = image.file.read()
            brightest = decode(data, image.size, image.file_name, image.upright).max()
        except (BrokenImage, OSError) as error:
            return str(error)
        same = Checked(image.file, image.file_name, zlib.crc32(data))
        return image._replace(file=same), bool(brightest <= ALMOST_BLACK)

    cv2.setNumThreads(1)
    problems = Problems(where)
    done: list[AnnotatedImage] = []
    dark: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in tqdm(pool.map(checked, images), "checking images", len(images), unit=" images", disable=None):
            if isinstance(found, str):
                problems.add("images that cannot be used", found)
                continue
            image, is_dark = found
            done.append(image)
            if is_dark:
                dark.append(image.file_name)
    problems.raise_if_any()
    if dark:
        log.warning(
            "%s: %s almost black, with no value above %d of 255, as 12 bits in 16 are; if so, write them again with "
            "their values multiplied by 16: %s",
            where,
            pluralize(len(dark), "image"),
            ALMOST_BLACK,
            shorten_list(dark),
        )
    return done
