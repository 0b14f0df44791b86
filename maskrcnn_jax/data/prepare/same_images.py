"""Images that two splits share."""

import logging
import os
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from maskrcnn_jax.data.prepare.annotated import AnnotatedImage, Annotations
from maskrcnn_jax.data.prepare.finder.image_file import StoredFile
from maskrcnn_jax.data.prepare.image_check import Checked
from maskrcnn_jax.messages.counts import pluralize, shorten_list

log = logging.getLogger(__name__)


def warn_of_same_images(contents: Mapping[str, Annotations], where: str) -> None:
    """Warns of images that are in two splits: the same file, or one of the same name and content.

    Args:
        contents: The splits, checked.
        where: What messages call the data set.
    """
    first: dict[Hashable, str] = {}
    twice: list[str] = []
    for split, annotations in contents.items():
        for image in annotations.images:
            splits = {first.setdefault(key, split) for key in identities(image)}
            twice += [f"{image.file_name} in {other!r} and {split!r}" for other in sorted(splits - {split})]
    if twice:
        log.warning(
            "%s: %s in two splits, so that one is scored on what another trains on; give each split images of its "
            "own: %s",
            where,
            pluralize(len(twice), "image"),
            shorten_list(twice),
        )


def identities(image: AnnotatedImage) -> Iterator[Hashable]:
    """What is equal for the same image: where its file lies, and its name with its content."""
    file = image.file
    if isinstance(file, Checked):
        yield PurePosixPath(image.file_name.replace("\\", "/")).name, file.checksum
        file = file.file
    if isinstance(file, StoredFile):
        yield os.path.realpath(file.path) if isinstance(file.path, Path) else str(file.path)
