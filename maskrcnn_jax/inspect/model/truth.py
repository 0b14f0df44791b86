"""The annotated objects of a picture beside what a network makes of it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from maskrcnn_jax.config import Config
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.data.transforms.buckets import fitted_sizes
from maskrcnn_jax.evaluation.coco import coco_metrics, label_categories
from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.model.matches import Outcome, annotations, compare_results, picture_precision
from maskrcnn_jax.inspect.model.recall import THRESHOLDS
from maskrcnn_jax.inspect.model.subject import Subject, from_corner, look
from maskrcnn_jax.messages.counts import pluralize, shorten_list
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.coco_results import Result, image_results
from maskrcnn_jax.structs import GroundTruth, ImageRecord
from maskrcnn_jax.training.step import to_model_boxes


class Truth(NamedTuple):
    """An annotated picture and the data set that it is from."""

    source: ImageSource
    position: int
    """Which of the source's pictures."""
    example: Example
    config: Config
    """The experiment: it says what training asks of the network."""

    @property
    def category_names(self) -> dict[int, str]:
        """The data set's categories by their numbers."""
        return dict(zip(self.source.category_ids, self.source.class_names, strict=True))


def read_truth(source: ImageSource, index: int, config: Config) -> Truth:
    """An annotated picture of a data set.

    Raises:
        ValueError: the data set has no such picture, or its classes are not the network's.
        BrokenImage: the picture cannot be decoded.
    """
    if not 0 <= index < len(source):
        raise ValueError(f"index = {index}: the data has {pluralize(len(source), 'picture')}, the first is 0")
    names, classes = config.model.class_names, config.model.num_classes
    if not names and len(source.class_names) != classes:
        raise ValueError(
            f"the data has {pluralize(len(source.class_names), 'class')}, the model {classes} without names; "
            "give its own data"
        )
    if names and not set(names) & set(source.class_names):
        raise ValueError(
            f"the data has none of the model's classes, but {shorten_list(source.class_names)}; give its own data"
        )
    return Truth(source, index, source[index], config)


def network_truth(truth: Truth, subject: Subject) -> GroundTruth:
    """The objects, their boxes as they are inside the network, in pixels of its input; no leading `B`, no padding.

    Masks are left out: each is one empty cell.
    """
    example, count = truth.example, len(truth.example.boxes)
    boxes = example.boxes * np.float32(np.tile(subject.scale, 2)) + np.tile(subject.view.corner, 2)
    masks = np.zeros((count, 1, 1), np.uint8)
    placed = GroundTruth(boxes, example.labels, example.is_crowd, np.ones(count, bool), masks, boxes)
    return jax.device_get(to_model_boxes(placed, truth.config.model))


def object_names(truth: Truth) -> list[str]:
    """What the objects that are no crowds are called, numbered from 1."""
    labels = truth.example.labels[~truth.example.is_crowd].tolist()
    return [f"{truth.source.class_names[label]} {number}" for number, label in enumerate(labels, start=1)]


def picture_results(subject: Subject, source: ImageSource, image_id: int) -> list[Result]:
    """The detections in COCO's results format, in pixels of the picture itself and categories of a data set."""
    config, (height, width) = subject.config, subject.image.shape[:2]
    return image_results(
        from_corner(subject.trace, subject.view),
        ImageRecord(image_id, height, width, subject.scale),
        label_categories(config.class_names, source.class_names, source.category_ids),
        masks=config.mask_head is not None,
        paste="exact" if config.mask_head is None else config.mask_head.paste,
        inclusive=config.inclusive_boxes,
    )


def compare_picture(subject: Subject, truth: Truth) -> Outcome:
    """The detections beside the objects: masks if the network has them, else boxes."""
    example = truth.example
    objects = annotations(example, example.image_id, truth.source.category_ids)
    results = picture_results(subject, truth.source, example.image_id)
    return compare_results(results, objects, masks=subject.config.mask_head is not None)


def same_input(truth: Truth, count: int, seed: int = 0) -> list[int]:
    """Pictures of the data set, drawn at random, that are padded to the size of this one: nothing compiles anew.

    Args:
        truth: the picture.
        count: how many, at most.
        seed: decides which.
    """
    _, padded = fitted_sizes(np.asarray(truth.source.sizes), truth.config.model.input)
    same = np.flatnonzero((padded == padded[truth.position]).all(axis=1))
    return sorted(np.random.default_rng(seed).permutation(same)[:count].tolist())


def score_pictures(model: MaskRCNN, truth: Truth, indices: Sequence[int]) -> tuple[Table, dict[str, float]]:
    """Average precision of several pictures, each for itself and all of them together.

    Args:
        model: the network.
        truth: says which data set.
        indices: of its pictures.

    Returns:
        A row per picture, all classes together, and the figures of `coco.coco_metrics` over all pictures.
    """
    source, masks = truth.source, model.config.mask_head is not None
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    results: list[Result] = []
    rows: list[tuple[Any, ...]] = []
    for index in indices:
        example = source[index]
        subject = look(model, example.image)
        mine = annotations(example, example.image_id, source.category_ids)
        found = picture_results(subject, source, example.image_id)
        outcome = compare_results(found, mine, masks=masks)
        aps = [picture_precision(outcome, threshold) for threshold in THRESHOLDS]
        rows.append((index, example.image_id, len(mine), len(found), float(np.mean(aps)), *aps))
        height, width = example.image.shape[:2]
        images.append({"id": example.image_id, "height": height, "width": width})
        objects += [{**entry, "id": len(objects) + number} for number, entry in enumerate(mine, start=1)]
        results += found
    values = np.array([row[4:] for row in rows])
    known = values[~np.isnan(values[:, 0])]
    mean = known.mean(axis=0).tolist() if len(known) else [float("nan")] * values.shape[1]
    rows.append(("mean", "", sum(row[2] for row in rows), sum(row[3] for row in rows), *mean))
    columns = ("picture", "id", "objects", "detections", "AP", *(f"at {threshold:.2f}" for threshold in THRESHOLDS))
    categories = [{"id": number, "name": name} for number, name in truth.category_names.items()]
    kind = "masks" if masks else "boxes"
    table = Table(columns, rows, f"AP of {kind} in each picture, all classes together", [len(rows) - 1])
    return table, coco_metrics(
        {"images": images, "annotations": objects, "categories": categories}, results, masks=masks
    )
