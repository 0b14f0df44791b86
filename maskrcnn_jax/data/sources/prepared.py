"""A prepared COCO-format data set with random access."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import decode
from maskrcnn_jax.data.sources.coco_dictionary import ImageTruth, coco_dictionary
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.sources.masks_on_demand import RunLengthMasks
from maskrcnn_jax.data.sources.source import Source
from maskrcnn_jax.files.reading import read_bytes
from maskrcnn_jax.messages.config_error import ConfigError, require
from maskrcnn_jax.messages.counts import pluralize


@dataclass(frozen=True)
class CocoSource(Source):
    """A split of a prepared COCO-format data set: see `python -m maskrcnn_jax prepare`."""

    folder: Path = Path("data/coco")
    """The folder that `prepare` wrote."""
    split: str = "train"
    """Name of the split, with TFDS slices: "train", "val", "train[:8]"."""
    keep_empty: bool = False
    """Keep images that have no object."""

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require(self.split != "", f"{where}.split", self.split, 'must name a split, such as "train" or "val[:8]"')

    def open(self) -> "CocoInstances":
        """Opens the data set; see `Source.open`."""
        return CocoInstances(self)


class Index(NamedTuple):
    """Facts on a split's images that are stored beside the records, to be known without reading them."""

    sizes: np.ndarray
    """`[n, 2]` int32 `(height, width)`."""
    num_objects: np.ndarray
    """`[n]` int32, crowds included."""
    num_crowds: np.ndarray
    """`[n]` int32."""

    def save(self, folder: Path, split: str) -> None:
        """Writes it."""
        np.savez(index_file(folder, split), **self._asdict())

    @classmethod
    def load(cls, folder: Path, split: str, length: int) -> "Index":
        """Reads it.

        Raises:
            ConfigError: It is missing, damaged, or not of `length` images.
        """
        path = index_file(folder, split)
        try:
            with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as fields:
                index = cls(**fields)
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); prepare the data set again") from error
        shapes = [field.shape for field in index]
        if shapes != [(length, 2), (length,), (length,)]:
            raise ConfigError(
                f"{path}: has arrays of {', '.join(map(str, shapes))}, but the split has {length} images; prepare the "
                "data set again"
            )
        return index


def index_file(folder: Path, split: str) -> Path:
    """The file of a split's index."""
    return folder / f"index_{split}.npz"


class CocoInstances:
    """Reads a split of a data set that `python -m maskrcnn_jax prepare` wrote. Implements `ImageSource`.

    Images without objects, or with crowds alone, are left out unless `keep_empty`.

    Raises:
        ConfigError: The folder holds no prepared data set, or there is no such split.
    """

    has_masks = True

    def __init__(self, config: CocoSource):
        import tensorflow_datasets as tfds  # here, as its import takes a quarter of a second

        folder = Path(config.folder)
        try:
            builder = tfds.builder_from_directory(folder)
            metadata, splits = builder.info.metadata, builder.info.splits
            self.class_names, self.category_ids = tuple(metadata["class_names"]), tuple(metadata["category_ids"])
        except Exception as error:  # TFDS raises what its file system and parsers raise.
            raise ConfigError(
                f"folder = {str(folder)!r}: holds no prepared data set; make one with "
                f"`python -m maskrcnn_jax prepare FOLDER --out {folder}` ({' '.join(str(error).split())})"
            ) from error
        try:
            parts = tfds.core.ReadInstruction.from_spec(config.split).to_absolute(splits)
            # The image stays encoded: reading annotations needs no decoding, and `decode` does it where needed.
            self.records = builder.as_data_source(config.split, decoders={"image": tfds.decode.SkipDecoding()})
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"split = {config.split!r}: {folder} has {', '.join(splits)} ({reason})") from error
        chosen = []
        self.shards: list[tuple[str, range]] = []
        """The files that hold the records, and which of each, in order."""
        for part in parts:
            split = splits[part.splitname]
            index = Index.load(folder, part.splitname, split.num_examples)
            first, last, _ = slice(part.from_, part.to).indices(split.num_examples)
            chosen.append(Index(*(field[first:last] for field in index)))
            for file, length in zip(split.filenames, split.shard_lengths, strict=True):
                self.shards.append((file, range(length)[max(first, 0) : max(last, 0)]))
                first, last = first - length, last - length
        index = Index(*(np.concatenate(fields) for fields in zip(*chosen, strict=True)))
        self.folder = folder
        kept = np.full(len(index.sizes), True) if config.keep_empty else index.num_objects > index.num_crowds
        self.positions = np.flatnonzero(kept)
        if not kept.any() and index.num_crowds.any():
            raise ConfigError(
                f"split = {config.split!r}: {folder} holds {pluralize(len(kept), 'image')} there, but every object is "
                "a crowd (iscrowd = 1), which is never trained on; prepare it with --crowds-as-objects if each is one "
                "object"
            )
        self.sizes = index.sizes[self.positions]
        self.num_objects = index.num_objects[self.positions]

    @cached_property
    def image_ids(self) -> tuple[int, ...]:
        """The numbers that the images have in the data set; the first use reads every record and decodes no image.

        Raises:
            BrokenImage: A record cannot be read.
        """
        return tuple(int(self._record(position)["image_id"]) for position in self.positions.tolist())

    @cached_property
    def file_names(self) -> tuple[str, ...]:
        """The files that the images came from; the first use reads every record and decodes no image.

        Raises:
            BrokenImage: A record cannot be read.
        """
        return tuple(self._record(position)["file_name"].decode() for position in self.positions.tolist())

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Example:
        record = self._record(int(self.positions[index]))
        size = tuple(record["size"].tolist())
        name = f"image {record['image_id']} ({record['file_name'].decode()})"
        upright = bool(record["upright"]) if "upright" in record else None
        image = decode(record["image"], size, name, upright)
        masks = RunLengthMasks(record["masks"], size)
        return Example(
            image, int(record["image_id"]), record["boxes"], record["labels"], record["is_crowd"].astype(bool), masks
        )

    def _record(self, position: int) -> dict[str, Any]:
        """One record, its image still encoded.

        Raises:
            BrokenImage: It cannot be read; the message names its position, as nothing else is known.
        """
        try:
            return self.records[position]
        except (RuntimeError, OSError, ValueError, IndexError) as error:  # array_record raises any of them.
            shard, number = self._location(position)
            raise BrokenImage(
                f"{self.folder / shard}: record {number} cannot be read ({' '.join(str(error).split())}); prepare the "
                "data set again"
            ) from error

    def _location(self, position: int) -> tuple[str, int]:
        """The file that holds a record, and the record's number in it."""
        for file, held in self.shards:
            if position < len(held):
                return file, held[position]
            position -= len(held)
        raise IndexError(f"{self.folder}: no record {position} after the last")

    def coco(self) -> dict[str, Any]:
        """Returns the ground truth as a COCO instances dictionary; reads every record and decodes no image.

        Raises:
            BrokenImage: A record cannot be read.
        """
        truths = (truth_of(self._record(position)) for position in self.positions.tolist())
        return coco_dictionary(truths, self.category_ids, self.class_names)


def truth_of(record: dict[str, Any]) -> ImageTruth:
    """The ground truth in a record."""
    fields = {name: record[name] for name in ("boxes", "labels", "is_crowd", "areas", "annotation_ids", "masks")}
    size = tuple(record["size"].tolist())
    return ImageTruth(image_id=int(record["image_id"]), file_name=record["file_name"].decode(), size=size, **fields)
