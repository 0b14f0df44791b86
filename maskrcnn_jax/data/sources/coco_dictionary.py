"""The ground truth of a data set as a COCO instances dictionary."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.masks.rle import encode_mask


class ImageTruth(NamedTuple):
    """The ground truth of one image."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    """(height, width), pixels."""
    boxes: np.ndarray
    """`[n, 4]` float32 `(x0, y0, x1, y1)`, pixels."""
    labels: np.ndarray
    """`[n]` int32 in `[0, C)`."""
    is_crowd: np.ndarray
    """`[n]` bool."""
    areas: Sequence[float]
    """Square pixels."""
    annotation_ids: Sequence[int]
    masks: Sequence[bytes] | None
    """Compressed run-length counts; None in a data set with boxes only."""


def coco_dictionary(
    images: Iterable[ImageTruth], category_ids: Sequence[int], class_names: Sequence[str]
) -> dict[str, Any]:
    """Returns an instances dictionary, ready for `json` and COCO tools.

    Args:
        images: In the order of the dictionary.
        category_ids: The data set's own number of each label.
        class_names: One name per label.
    """
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in images:
        height, width = image.size
        entries.append({"id": image.image_id, "file_name": image.file_name, "height": height, "width": width})
        annotations.extend(_annotations(image, category_ids))
    categories = [{"id": number, "name": name} for number, name in zip(category_ids, class_names, strict=True)]
    return {"images": entries, "annotations": annotations, "categories": categories}


def of_examples(source: ImageSource, positions: Iterable[int] | None = None) -> dict[str, Any]:
    """The dictionary made from examples of a data set, which reads each of them; annotation ids count from 1.

    Args:
        source: The data set.
        positions: Of the examples; all by default.

    Raises:
        BrokenImage: An image cannot be decoded.
    """
    truths = _truths(source, range(len(source)) if positions is None else positions)
    return coco_dictionary(truths, source.category_ids, source.class_names)


def of_example(example: Example, file_name: str = "", before: int = 0, *, has_masks: bool = True) -> ImageTruth:
    """The ground truth in an example, whose annotation ids follow those `before`."""
    height, width = example.image.shape[:2]
    ids = range(before + 1, before + 1 + len(example.labels))
    areas, masks = _outlined(example) if has_masks else (_box_areas(example.boxes), None)
    objects = (example.boxes, example.labels, example.is_crowd)
    return ImageTruth(int(example.image_id), file_name, (height, width), *objects, areas, ids, masks)


def _truths(source: ImageSource, positions: Iterable[int]) -> Iterator[ImageTruth]:
    count = 0
    for position in positions:
        truth = of_example(source[position], source.file_names[position], count, has_masks=source.has_masks)
        count += len(truth.labels)
        yield truth


def _outlined(example: Example) -> tuple[list[float], list[bytes]]:
    """Area and code of each mask, decoded once."""
    pairs = [(float(mask.sum()), encode_mask(mask)["counts"].encode("ascii")) for mask in example.masks]
    return [area for area, _ in pairs], [code for _, code in pairs]


def _box_areas(boxes: np.ndarray) -> list[float]:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).tolist()


def _annotations(image: ImageTruth, category_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    fields = (image.annotation_ids, image.boxes, image.labels, image.is_crowd, image.areas)
    for position, (number, (x0, y0, x1, y1), label, is_crowd, area) in enumerate(zip(*fields, strict=True)):
        segmentation = {}
        if image.masks is not None:
            code = {"size": list(image.size), "counts": image.masks[position].decode("ascii")}
            segmentation = {"segmentation": code}
        yield {
            "id": int(number),
            "image_id": image.image_id,
            "category_id": category_ids[label],
            "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
            "area": float(area),
            "iscrowd": int(is_crowd),
            **segmentation,
        }
