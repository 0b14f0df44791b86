"""Images that a data set holds twice."""

import logging
import os
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from maskrcnn_jax.data.annotations import AnnotatedImage, Annotations, first_of
from maskrcnn_jax.data.image_check import Checked
from maskrcnn_jax.data.image_file import StoredFile
from maskrcnn_jax.plural import counted

log = logging.getLogger(__name__)


def warn_of_same_images(contents: Mapping[str, Annotations], where: str) -> None:
    """Warns of images that are in two splits, or twice in one: the same file, or one of the same name and content.

    Args:
        contents: The splits, checked.
        where: What messages call the data set.
    """
    first: dict[Hashable, tuple[str, str]] = {}
    across: list[str] = []
    within: list[str] = []
    for split, annotations in contents.items():
        for image in annotations.images:
            keys = list(identities(image))
            known = next((first[key] for key in keys if key in first), None)
            for key in keys:
                first.setdefault(key, (split, image.file_name))
            if known is not None and known[0] == split:
                within.append(image.file_name)
            elif known is not None:
                across.append(f"{image.file_name} in {known[0]!r} and {split!r}")
    if across:
        log.warning(
            "%s: %s in two splits, so that one is scored on what another trains on; give each split images of its "
            "own: %s",
            where,
            counted(len(across), "image"),
            first_of(across),
        )
    if within:
        log.warning(
            "%s: %s listed twice in one split, each entry being an image of its own to training; join the entries: %s",
            where,
            counted(len(within), "image"),
            first_of(within),
        )


def identities(image: AnnotatedImage) -> Iterator[Hashable]:
    """What is equal for the same image: where its file lies, and its name with its content."""
    file = image.file
    if isinstance(file, Checked):
        yield PurePosixPath(image.file_name.replace("\\", "/")).name, file.checksum
        file = file.file
    if isinstance(file, StoredFile):
        yield os.path.realpath(file.path) if isinstance(file.path, Path) else str(file.path)
