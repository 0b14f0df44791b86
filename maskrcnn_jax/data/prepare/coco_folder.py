"""A COCO-format annotation file and its image folder, read as they are."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import decode
from maskrcnn_jax.data.prepare.annotated import AnnotatedImage, Annotations, warn_of_dropped
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.sources.coco_dictionary import ImageTruth, coco_dictionary
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.sources.masks_on_demand import RunLengthMasks
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.messages.config_error import ConfigError, require
from maskrcnn_jax.messages.counts import pluralize, shorten_list

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoFolder(Source):
    """A COCO annotation file with its images, read directly without `prepare`, for experiments.

    Opening checks the annotations as `prepare` does, and reads the header of every image. For long runs `prepare` is
    faster, and decodes every image once to find those that are broken.
    """

    annotations: Path = Path("data/coco/annotations/instances_train.json")
    """An instances file in COCO's format."""
    images: Path = Path("data/coco/train")
    """The folder of its images."""
    keep_empty: bool = False
    """Keep images that have no object."""

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require(self.annotations.name != "", f"{where}.annotations", self.annotations, "must be a JSON file")

    def open(self) -> "CocoFolderImages":
        """Opens the data set; see `Source.open`."""
        return CocoFolderImages(self)


class CocoFolderImages:
    """Reads images of a folder with annotations that are held in memory. Implements `ImageSource`.

    Images without objects, or with crowds alone, are left out unless `keep_empty`; a warning counts them.

    Raises:
        ConfigError: The files are missing, or `prepare` would not accept them.
    """

    has_masks = True

    def __init__(self, config: CocoFolder):
        annotations = read(config)
        self.class_names, self.category_ids = annotations.class_names, annotations.category_ids
        self.images = annotations.images if config.keep_empty else with_objects(annotations.images, config)
        self.sizes = np.array([image.size for image in self.images], np.int32).reshape(-1, 2)
        self.num_objects = np.array([len(image.labels) for image in self.images], np.int32)

    @cached_property
    def image_ids(self) -> tuple[int, ...]:
        """The numbers that the images have in the annotation file."""
        return tuple(image.image_id for image in self.images)

    @cached_property
    def file_names(self) -> tuple[str, ...]:
        """The files as the annotation file names them."""
        return tuple(image.file_name for image in self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        image = self.images[index]
        name = f"image {image.image_id} ({image.file_name})"
        try:
            data = image.file.read()
        except OSError as error:
            raise BrokenImage(f"{name}: cannot be read ({error})") from error
        pixels = decode(data, image.size, name, image.upright)
        masks = RunLengthMasks(image.masks, image.size)
        return Example(pixels, image.image_id, image.boxes, image.labels, image.is_crowd, masks)

    def coco(self) -> dict[str, Any]:
        """Returns the ground truth as a COCO instances dictionary; reads no image."""
        return coco_dictionary(map(truth_of, self.images), self.category_ids, self.class_names)


def truth_of(image: AnnotatedImage) -> ImageTruth:
    """The ground truth of an image."""
    return ImageTruth(**{name: getattr(image, name) for name in ImageTruth._fields})


def read(config: CocoFolder) -> Annotations:
    """Reads and checks the annotations and finds the images.

    Raises:
        ConfigError: They cannot be used.
    """
    # Here, as the readers of all formats are loaded with it.
    from maskrcnn_jax.data.prepare.coco.files import SplitFiles
    from maskrcnn_jax.data.prepare.formats import read_coco
    from maskrcnn_jax.data.prepare.read_options import ReadOptions

    require(
        config.annotations.is_file(), "annotations", str(config.annotations), "no such file; name an instances file"
    )
    require(config.images.is_dir(), "images", str(config.images), "no such folder; name the folder of the images")
    files = SplitFiles(config.annotations.stem, config.annotations, [config.images], config.images)
    try:
        annotations = read_coco(files, ReadOptions(images=config.images))
    except (DatasetError, OSError) as error:
        raise ConfigError(str(error)) from error
    warn_of_dropped(annotations, str(config.annotations))
    return annotations


def with_objects(images: Sequence[AnnotatedImage], config: CocoFolder) -> list[AnnotatedImage]:
    """The images that have an object which is no crowd; a warning counts the others."""
    kept = [image for image in images if not image.is_crowd.all()]
    if left_out := [image.image_id for image in images if image.is_crowd.all()]:
        log.warning(
            "%s: left out %s without an object that is no crowd (keep_empty = True keeps them): %s",
            config.annotations,
            pluralize(len(left_out), "image"),
            shorten_list(left_out),
        )
    return kept
