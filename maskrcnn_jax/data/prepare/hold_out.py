"""Part of an undivided data set, kept for validation."""

import hashlib

from maskrcnn_jax.data.prepare.annotated import Annotations
from maskrcnn_jax.data.prepare.problems import DatasetError


def hold_out(annotations: Annotations, share: float) -> dict[str, Annotations]:
    """Divides a data set into "train" and "val".

    The choice depends on the file names alone, so it is the same when the data set is prepared again, and nearly the
    same when images are added. Similar images, such as those of one video, may get into both: put these into folders
    `train/` and `val/` instead.

    Args:
        annotations: The data set.
        share: Share of its images in (0, 1); at least one is held out and one is left.

    Raises:
        DatasetError: There are fewer than two images.
    """
    images = annotations.images
    if len(images) < 2:
        raise DatasetError(f"validation_share = {share}: a single image cannot be divided; add some, or leave it out")
    drawn = sorted(range(len(images)), key=lambda index: hashlib.sha256(images[index].file_name.encode()).digest())
    held = set(drawn[: min(max(round(share * len(images)), 1), len(images) - 1)])
    return {
        name: annotations._replace(images=[image for index, image in enumerate(images) if (index in held) == inside])
        for name, inside in (("train", False), ("val", True))
    }
