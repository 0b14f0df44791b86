"""Checked annotations of any format."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from maskrcnn_jax.data.prepare.finder.image_entry import ImageEntry
from maskrcnn_jax.data.prepare.finder.image_file import ImageFile, Located
from maskrcnn_jax.messages.counts import pluralize, shorten_list

log = logging.getLogger(__name__)


class AnnotatedObject(NamedTuple):
    """One annotation, checked."""

    box: tuple[float, float, float, float]
    label: int
    is_crowd: bool
    is_box: bool
    area: float
    annotation_id: int
    counts: bytes


class AnnotatedImage(NamedTuple):
    """An image and its objects, checked."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    """(height, width), pixels."""
    boxes: np.ndarray
    """`[n, 4]` float32 `(x0, y0, x1, y1)`, pixels, clipped to the image."""
    labels: np.ndarray
    """`[n]` int32 in `[0, C)`, in the order of the category ids."""
    is_crowd: np.ndarray
    """`[n]` bool."""
    is_box: np.ndarray
    """`[n]` bool: annotated by a box alone, so that the mask is the filled box."""
    areas: np.ndarray
    """`[n]` float32, square pixels, as annotated."""
    annotation_ids: np.ndarray
    """`[n]` int64."""
    masks: list[bytes]
    """n compressed RLE counts."""
    file: ImageFile
    """The file of the image."""
    upright: bool
    """Whether `size` and all coordinates refer to the raster turned by the file's EXIF orientation."""

    @classmethod
    def of(cls, entry: ImageEntry, located: Located, objects: Sequence[AnnotatedObject]) -> "AnnotatedImage":
        """Stacks the objects of one image."""
        boxes, labels, is_crowd, is_box, areas, ids, masks = zip(*objects, strict=True) if objects else ((),) * 7
        return cls(
            entry.image_id,
            entry.file_name,
            located.size,
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.asarray(labels, np.int32),
            np.asarray(is_crowd, bool),
            np.asarray(is_box, bool),
            np.asarray(areas, np.float32),
            np.asarray(ids, np.int64),
            list(masks),
            located.file,
            located.upright,
        )


class Annotations(NamedTuple):
    """A whole annotation file."""

    category_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    images: list[AnnotatedImage]
    dropped: dict[str, list[int]]
    """Ids of the annotations that were left out, by reason."""

    @property
    def box_only(self) -> list[int]:
        """Ids of the annotations whose mask is their filled box, crowds among them."""
        return [number for image in self.images for number in image.annotation_ids[image.is_box].tolist()]

    @property
    def num_objects(self) -> np.ndarray:
        """`[C]`: objects of each class that are no crowds."""
        return self._count(crowds=False)

    @property
    def num_crowds(self) -> np.ndarray:
        """`[C]`: crowds of each class."""
        return self._count(crowds=True)

    def _count(self, crowds: bool) -> np.ndarray:
        labels = [image.labels[image.is_crowd == crowds] for image in self.images]
        return np.bincount(np.concatenate([np.zeros(0, np.int32), *labels]), minlength=len(self.class_names))


def warn_of_dropped(annotations: Annotations, where: str) -> None:
    """Warns of the annotations that were left out, by reason."""
    for reason, ids in annotations.dropped.items():
        log.warning("%s: dropped %s, %s: %s", where, pluralize(len(ids), "annotation"), reason, shorten_list(ids))
