"""The TFDS builder: COCO-format instances as ArrayRecord, written without TensorFlow."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from maskrcnn_jax.data.annotations import AnnotatedImage, Annotations
from maskrcnn_jax.data.coco_files import AnyPath

VERSION = "1.0.0"
"""Rises when the features change; `CocoInstances` reads this one."""

KEYS = 2**128
"""TFDS sorts records by keys below this, a thousandth of their range at a time in memory."""


class CocoInstancesBuilder(tfds.core.GeneratorBasedBuilder):
    """Images with boxes, labels and one run-length code per object; image files are copied as they are.

    Records keep the order of the annotation file.
    """

    name = "coco_instances"
    VERSION = tfds.core.Version(VERSION)

    def __init__(self, data_dir: str, splits: dict[str, tuple[Annotations, AnyPath]], metadata: dict[str, Any]):
        self.contents = splits
        self.own_metadata = metadata
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        # Tensor, not Sequence: a sequence of scalars is read back as a list.
        numbers = {"labels": np.int32, "is_crowd": np.bool_, "areas": np.float32, "annotation_ids": np.int64}
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "image_id": np.int64,
                "file_name": tfds.features.Text(),
                "size": tfds.features.Tensor(shape=(2,), dtype=np.int32),
                "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
                **{name: tfds.features.Tensor(shape=(None,), dtype=dtype) for name, dtype in numbers.items()},
                "masks": tfds.features.Sequence(tfds.features.Text()),
            }
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="Instance segmentation data set in COCO format. Boxes are (x0, y0, x1, y1) in pixels; masks "
            "are compressed COCO run-length counts over `size` (height, width); labels index metadata.class_names.",
            features=features,
            metadata=tfds.core.MetadataDict(self.own_metadata),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {name: self._generate_examples(name, *content) for name, content in self.contents.items()}

    def _generate_examples(
        self, split: str, annotations: Annotations, folder: AnyPath
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        spacing = KEYS // len(annotations.images)
        progress = tqdm(annotations.images, f"writing {split}", unit=" images", disable=None)
        for position, image in enumerate(progress):
            # Keys in order, spread over their whole range.
            yield position * spacing, record(image, (folder / image.file_name).read_bytes())


def record(image: AnnotatedImage, data: bytes) -> dict[str, Any]:
    """One image in the form of the features."""
    return {
        "image": data,
        "image_id": image.image_id,
        "file_name": image.file_name,
        "size": np.array(image.size, np.int32),
        "boxes": image.boxes,
        "labels": image.labels,
        "is_crowd": image.is_crowd,
        "areas": image.areas,
        "annotation_ids": image.annotation_ids,
        "masks": image.masks,
    }
