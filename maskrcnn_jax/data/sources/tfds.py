"""TensorFlow Datasets' own `coco`, of boxes (`coco/2017`) or panoptic (`coco/2017_panoptic`)."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import decode, read_header
from maskrcnn_jax.data.sources.coco_dictionary import ImageTruth, coco_dictionary
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.sources.masks_on_demand import FilledBoxes
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.masks.rle import encode_mask
from maskrcnn_jax.messages.config_error import ConfigError, require
from maskrcnn_jax.messages.counts import pluralize

log = logging.getLogger(__name__)

THINGS = 80
"""Number of COCO's panoptic categories that are things; they come first, then stuff. TFDS does not record it."""
READERS = 16
"""Threads that read the headers of all images."""


@dataclass(frozen=True)
class TFDSSource(Source):
    """A split of TFDS's `coco`, prepared as ArrayRecord: `coco/2017` has boxes alone, `coco/2017_panoptic` has masks.

    Opening reads every record once, as TFDS keeps no list of the sizes.
    """

    name: str = "coco/2017_panoptic"
    """Name and configuration, as TFDS calls them."""
    split: str = "train"
    """Name of the split, with TFDS slices: "train", "validation", "train[:8]"."""
    data_dir: Path | None = None
    """TFDS's folder; None for its default, `~/tensorflow_datasets` or the environment variable TFDS_DATA_DIR."""
    keep_empty: bool = False
    """Keep images that have no object."""

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require(self.name != "", f"{where}.name", self.name, 'must name a data set, such as "coco/2017"')
        require(self.split != "", f"{where}.split", self.split, 'must name a split, such as "train"')

    def open(self) -> "TFDSImages":
        """Opens the data set; see `Source.open`."""
        return TFDSImages(self)


class Objects(NamedTuple):
    """The objects of a record."""

    boxes: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    areas: np.ndarray
    ids: np.ndarray


class TFDSImages:
    """Reads a split of TFDS's `coco`. Implements `ImageSource`.

    Images without objects, or with crowds alone, are left out unless `keep_empty`. In a panoptic data set the segments
    of things are the objects; stuff is left out. Coordinates refer to the raster as stored.

    Raises:
        ConfigError: There is no such data set or split, or it is not prepared as ArrayRecord, or is of another form.
        BrokenImage: A record cannot be read.
    """

    def __init__(self, config: TFDSSource):
        builder = open_builder(config)
        features = builder.info.features
        self.has_masks = "panoptic_objects" in features
        self.key = "panoptic_objects" if self.has_masks else "objects"
        needed = {"image", "image/id", "image/filename", self.key} | ({"panoptic_image"} if self.has_masks else set())
        remedy = f"must be of the form of TFDS's coco: it has no {', '.join(sorted(needed - set(features)))}"
        require(needed <= set(features), "name", config.name, remedy)
        names = tuple(features[self.key]["label"].names)
        self.class_names = names[:THINGS] if self.has_masks else names
        self.category_ids = tuple(range(1, len(self.class_names) + 1))
        self.records = read_split(builder, config)
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(self._facts, range(len(self.records))))
        kept = [facts for facts in found if config.keep_empty or facts.num_objects > facts.num_crowds]
        if left_out := len(found) - len(kept):
            images = pluralize(left_out, "image")
            log.warning(
                "%s: left out %s without an object that is no crowd (keep_empty keeps them)", config.name, images
            )
        self.positions = [facts.position for facts in kept]
        self.sizes = np.array([facts.size for facts in kept], np.int32).reshape(-1, 2)
        self.num_objects = np.array([facts.num_objects for facts in kept], np.int32)
        self.image_ids = tuple(facts.image_id for facts in kept)
        self.file_names = tuple(facts.file_name for facts in kept)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Example:
        record, size = self.records[self.positions[index]], self._size(index)
        objects, image_id = self._objects(record, size), self.image_ids[index]
        name = f"image {image_id} ({self.file_names[index]})"
        masks = self._masks(record, objects, size, name)
        image = decode(record["image"], size, name, upright=False)
        return Example(image, image_id, objects.boxes, objects.labels, objects.is_crowd, masks)

    def coco(self) -> dict[str, Any]:
        """Returns the ground truth as a COCO instances dictionary; reads every record and decodes no image.

        Raises:
            BrokenImage: A panoptic image cannot be decoded, or lacks a segment.
        """
        return coco_dictionary(map(self._truth, range(len(self))), self.category_ids, self.class_names)

    def _truth(self, index: int) -> ImageTruth:
        record, size, image_id = self.records[self.positions[index]], self._size(index), self.image_ids[index]
        objects, masks = self._objects(record, size), None
        if self.has_masks:
            decoded = self._masks(record, objects, size, f"image {image_id} ({self.file_names[index]})")
            masks = [encode_mask(mask)["counts"].encode("ascii") for mask in decoded]
        boxes, labels, is_crowd, areas, ids = objects
        name = self.file_names[index]
        return ImageTruth(image_id, name, size, boxes, labels, is_crowd, areas.tolist(), ids.tolist(), masks)

    def _size(self, index: int) -> tuple[int, int]:
        height, width = self.sizes[index].tolist()
        return height, width

    def _facts(self, position: int) -> "Facts":
        record = self.records[position]
        image_id, file_name = int(record["image/id"]), record["image/filename"].decode()
        size = read_header(record["image"], f"image {image_id} ({file_name})").size
        is_crowd = self._objects(record, size).is_crowd
        return Facts(position, size, len(is_crowd), int(is_crowd.sum()), image_id, file_name)

    def _objects(self, record: Mapping[str, Any], size: tuple[int, int]) -> Objects:
        """The objects, without stuff; boxes from TFDS's `(ymin, xmin, ymax, xmax)`, shares of the sides, to pixels."""
        fields, (height, width) = record[self.key], size
        boxes = np.asarray(fields["bbox"], np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]] * ([width, height] * 2)
        labels = np.asarray(fields["label"], np.int32)
        things = labels < len(self.class_names)
        return Objects(
            boxes.astype(np.float32)[things],
            labels[things],
            np.asarray(fields["is_crowd"], bool)[things],
            np.asarray(fields["area"], np.float32)[things],
            np.asarray(fields["id"], np.int64)[things],
        )

    def _masks(
        self, record: Mapping[str, Any], objects: Objects, size: tuple[int, int], name: str
    ) -> Sequence[np.ndarray]:
        """The segments of the panoptic image, whose colours are ids, or filled boxes where there is none.

        Raises:
            BrokenImage: It cannot be decoded, is of another size, or a segment is not in it.

        Source: `rgb2id` of panopticapi, COCO's tools: id = R + 256 G + 256² B.
        """
        if not self.has_masks:
            return FilledBoxes(objects.boxes, size)
        raster = decode(record["panoptic_image"], size, f"panoptic image of {name}", upright=False)
        ids = raster @ np.array([1, 1 << 8, 1 << 16])
        masks = [(ids == number).astype(np.uint8) for number in objects.ids]
        for number, mask in zip(objects.ids, masks, strict=True):
            if not mask.any():
                raise BrokenImage(f"panoptic image of {name}: has no pixel of segment {number}; prepare the data again")
        return masks


class Facts(NamedTuple):
    """Facts on an image that are read without decoding it."""

    position: int
    size: tuple[int, int]
    num_objects: int
    num_crowds: int
    image_id: int
    file_name: str


def open_builder(config: TFDSSource) -> Any:
    """TFDS's builder of the data set, from its files alone, as the code that made it needs TensorFlow.

    Raises:
        ConfigError: It is not there, or not as ArrayRecord; the message says how to prepare it.
    """
    import tensorflow_datasets as tfds  # here, as its import takes a quarter of a second

    folder = {} if config.data_dir is None else {"data_dir": config.data_dir}
    command = f"tfds build {config.name} --file_format=array_record"
    command += f" --data_dir={config.data_dir}" if config.data_dir is not None else ""
    try:
        builder = tfds.core.read_only_builder.builder_from_files(config.name, **folder)
    except Exception as error:  # TFDS raises what its file system and parsers raise.
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"name = {config.name!r}: no such data set; prepare it where TensorFlow is installed, `{command}` "
            f"({reason})"
        ) from error
    formats = {kind.value for kind in builder.info.available_file_formats()}
    if "array_record" not in formats:
        raise ConfigError(
            f"name = {config.name!r}: prepared as {', '.join(sorted(formats))}, which has no random access; "
            f"convert it, `tfds convert_format --dataset_version_dir={builder.data_dir} "
            f"--out_file_format=array_record`, or prepare it into another data_dir, `{command}`"
        )
    return builder


def read_split(builder: Any, config: TFDSSource) -> Any:
    """The records of a split, their images still encoded.

    Raises:
        ConfigError: There is no such split.
    """
    import tensorflow_datasets as tfds

    images = {"image", "panoptic_image"} & set(builder.info.features)
    encoded = {name: tfds.decode.SkipDecoding() for name in images}
    try:
        return builder.as_data_source(config.split, decoders=encoded)
    except Exception as error:
        splits = ", ".join(f"{name} ({pluralize(s.num_examples, 'image')})" for name, s in builder.info.splits.items())
        reason = " ".join(str(error).split())
        raise ConfigError(f"split = {config.split!r}: {config.name} has {splits} ({reason})") from error
