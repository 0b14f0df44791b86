"""Writing COCO-format instances as a TFDS data set of ArrayRecord files, without TensorFlow."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from maskrcnn_jax.data.prepare.annotated import AnnotatedImage, Annotations
from maskrcnn_jax.data.sources.prepared import Index

NAME, VERSION = "coco_instances", "1.1.0"
"""The version increases when the features change."""

SHARD = 2000
"""Images per file, some 300 MB of COCO."""


def write_records(folder: Path, splits: Mapping[str, Annotations], metadata: dict[str, Any]) -> None:
    """Writes images with boxes, labels and one run-length code per object, in the order of the annotation file.

    Image files are copied as they are. `tfds.builder_from_directory(folder)` reads the result. TFDS's own
    `GeneratorBasedBuilder` is not used: it shuffles, and to do so with more than a gigabyte it needs TensorFlow.

    Args:
        folder: Existing and empty.
        splits: The annotations of each split.
        metadata: Kept beside the records.

    Raises:
        BrokenImage: An image cannot be read again.
        OSError: The records cannot be written.
    """
    writer = tfds.core.SequentialWriter(describe(folder, metadata), SHARD, file_format="array_record")
    with named_write_errors(folder):
        writer.initialize_splits(list(splits))
    for split, annotations in splits.items():
        for image in tqdm(annotations.images, f"writing {split}", unit=" images", disable=None):
            example = record(image, image.file.read())
            with named_write_errors(folder):
                writer.add_examples({split: [example]})
    with named_write_errors(folder):
        writer.close_all()


def index(images: Sequence[AnnotatedImage]) -> Index:
    """Facts on a split's images that can be known without reading a record."""
    entries = [(*image.size, len(image.labels), int(image.is_crowd.sum())) for image in images]
    table = np.array(entries, np.int32)
    return Index(table[:, :2], table[:, 2], table[:, 3])


@contextlib.contextmanager
def named_write_errors(folder: Path) -> Iterator[None]:
    """Turns the errors of ArrayRecord when it cannot write, such as on a full disk, into OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"{folder}: cannot be written ({error}); make room there, or name another folder") from error


def describe(folder: Path, metadata: dict[str, Any]) -> tfds.core.DatasetInfo:
    """The features of a record and TFDS's description of the data set."""
    # Tensor, not Sequence: a sequence of scalars is read back as a list.
    numbers = {"labels": np.int32, "is_crowd": np.bool_, "areas": np.float32, "annotation_ids": np.int64}
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "image_id": np.int64,
        "file_name": tfds.features.Text(),
        "size": tfds.features.Tensor(shape=(2,), dtype=np.int32),
        "upright": np.bool_,
        "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
        **{name: tfds.features.Tensor(shape=(None,), dtype=dtype) for name, dtype in numbers.items()},
        "masks": tfds.features.Sequence(tfds.features.Text()),
    }
    return tfds.core.DatasetInfo(
        builder=tfds.core.dataset_info.DatasetIdentity(
            name=NAME, version=tfds.core.Version(VERSION), data_dir=str(folder), module_name=""
        ),
        description="Instance segmentation data set in COCO format. Boxes are (x0, y0, x1, y1) in pixels; masks are "
        "compressed COCO run-length counts over `size` (height, width); `upright` says whether these refer to the "
        "image turned by its EXIF orientation; labels index metadata.class_names.",
        features=tfds.features.FeaturesDict(features),
        metadata=tfds.core.MetadataDict(metadata),
        disable_shuffling=True,
    )


def record(image: AnnotatedImage, data: bytes) -> dict[str, Any]:
    """One image in the form of the features."""
    return {
        "image": data,
        "image_id": image.image_id,
        "file_name": image.file_name,
        "size": np.array(image.size, np.int32),
        "upright": image.upright,
        "boxes": image.boxes,
        "labels": image.labels,
        "is_crowd": image.is_crowd,
        "areas": image.areas,
        "annotation_ids": image.annotation_ids,
        "masks": image.masks,
    }
