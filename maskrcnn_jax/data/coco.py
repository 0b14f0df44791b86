"""A prepared COCO-format data set, read at random."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.config import CocoSource, ConfigError
from maskrcnn_jax.data.annotated import AnnotatedImage
from maskrcnn_jax.data.images import decode
from maskrcnn_jax.data.rle import decode_mask
from maskrcnn_jax.data.source import Example
from maskrcnn_jax.plural import counted


class Index(NamedTuple):
    """What is known of a split's images without reading a record; lies beside the records."""

    sizes: np.ndarray
    """`[n, 2]` int32 `(height, width)`."""
    num_objects: np.ndarray
    """`[n]` int32, crowds included."""
    num_crowds: np.ndarray
    """`[n]` int32."""

    @classmethod
    def of(cls, images: Iterable[AnnotatedImage]) -> "Index":
        """Collects it from a split's images."""
        rows = [(*image.size, len(image.labels), int(image.is_crowd.sum())) for image in images]
        columns = np.array(rows, np.int32)
        return cls(columns[:, :2], columns[:, 2], columns[:, 3])

    def save(self, folder: Path, split: str) -> None:
        """Writes it."""
        np.savez(index_file(folder, split), **self._asdict())

    @classmethod
    def load(cls, folder: Path, split: str) -> "Index":
        """Reads it."""
        with np.load(index_file(folder, split)) as fields:
            return cls(**fields)


def index_file(folder: Path, split: str) -> Path:
    """Where a split's index lies."""
    return folder / f"index_{split}.npz"


class RunLengthMasks(Sequence[np.ndarray]):
    """Masks that are decoded when asked for: `[H, W]` uint8 each."""

    def __init__(self, counts: Sequence[bytes], size: tuple[int, int]):
        self.counts = counts
        self.size = size

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # nobody slices it
        return decode_mask(self.counts[index], self.size)


class CocoInstances:
    """Reads a split of what `python -m maskrcnn_jax prepare` wrote. Implements `ImageSource`.

    Images without objects, or with crowds alone, are left out unless `keep_empty`.

    Raises:
        ConfigError: The folder holds no prepared data set, or there is no such split.
    """

    def __init__(self, config: CocoSource):
        import tensorflow_datasets as tfds  # here, as its import takes a quarter of a second

        folder = Path(config.folder)
        try:
            builder = tfds.builder_from_directory(folder)
        except Exception as error:  # TFDS raises what its file system and parsers raise.
            raise ConfigError(
                f"folder = {str(folder)!r}: holds no prepared data set; make one with "
                f"`python -m maskrcnn_jax prepare FOLDER --out {folder}`"
            ) from error
        splits = builder.info.splits
        try:
            parts = tfds.core.ReadInstruction.from_spec(config.split).to_absolute(splits)
        except Exception as error:
            raise ConfigError(f"split = {config.split!r}: {folder} has {', '.join(splits)} ({error})") from error
        chosen = [
            Index(*(field[part.from_ : part.to] for field in Index.load(folder, part.splitname))) for part in parts
        ]
        index = Index(*(np.concatenate(fields) for fields in zip(*chosen, strict=True)))
        # The image stays encoded, so that reading annotations costs no decoding and decoding is ours.
        self.records = builder.as_data_source(config.split, decoders={"image": tfds.decode.SkipDecoding()})
        kept = np.full(len(index.sizes), True) if config.keep_empty else index.num_objects > index.num_crowds
        self.positions = np.flatnonzero(kept)
        if not kept.any() and index.num_crowds.any():
            raise ConfigError(
                f"split = {config.split!r}: {folder} holds {counted(len(kept), 'image')} there, but every object is a "
                "crowd (iscrowd = 1), which is never learned; prepare it with --crowds-as-objects if each is one object"
            )
        self.sizes = index.sizes[self.positions]
        self.num_objects = index.num_objects[self.positions]
        self.class_names = tuple(builder.info.metadata["class_names"])
        self.category_ids = tuple(builder.info.metadata["category_ids"])

    @cached_property
    def image_ids(self) -> tuple[int, ...]:
        """The numbers that the images have in the data set; the first use reads every record and decodes no image."""
        return tuple(int(self.records[position]["image_id"]) for position in self.positions.tolist())

    @cached_property
    def file_names(self) -> tuple[str, ...]:
        """The files that the images came from; the first use reads every record and decodes no image."""
        return tuple(self.records[position]["file_name"].decode() for position in self.positions.tolist())

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Example:
        record = self.records[int(self.positions[index])]
        size = tuple(record["size"].tolist())
        name = f"image {record['image_id']} ({record['file_name'].decode()})"
        upright = bool(record["upright"]) if "upright" in record else None
        image = decode(record["image"], size, name, upright)
        masks = RunLengthMasks(record["masks"], size)
        return Example(
            image, int(record["image_id"]), record["boxes"], record["labels"], record["is_crowd"].astype(bool), masks
        )

    def coco(self) -> dict[str, Any]:
        """Returns the ground truth as a COCO instances dictionary; reads every record and decodes no image."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for position in self.positions.tolist():
            record = self.records[position]
            height, width = record["size"].tolist()
            image_id, name = int(record["image_id"]), record["file_name"].decode()
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            annotations.extend(self._annotations(record))
        categories = [{"id": i, "name": name} for i, name in zip(self.category_ids, self.class_names, strict=True)]
        return {"images": images, "annotations": annotations, "categories": categories}

    def _annotations(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        fields = ("annotation_ids", "boxes", "labels", "is_crowd", "areas", "masks")
        for number, (x0, y0, x1, y1), label, is_crowd, area, counts in zip(*map(record.get, fields), strict=True):
            yield {
                "id": int(number),
                "image_id": int(record["image_id"]),
                "category_id": self.category_ids[label],
                "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                "area": float(area),
                "iscrowd": int(is_crowd),
                "segmentation": {"size": record["size"].tolist(), "counts": counts.decode("ascii")},
            }
