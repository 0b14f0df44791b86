"""The step on several images of the data: average precision of each, and of all of them together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskrcnn_jax.data.sources.coco_dictionary import of_examples
from maskrcnn_jax.data.transforms.buckets import fitted_sizes
from maskrcnn_jax.evaluation.coco import coco_metrics
from maskrcnn_jax.inspect.model.annotated import AnnotatedImage
from maskrcnn_jax.inspect.model.inspected import InspectedImage, run_model
from maskrcnn_jax.inspect.model.matches import image_precision
from maskrcnn_jax.inspect.model.recall_steps import THRESHOLDS
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.coco_results import CocoResult

IMAGES = 10
"""Number of images whose average precision is computed by default."""


def scores(seen: InspectedImage, images: int = IMAGES) -> Step | None:
    """Average precision of up to `images` images of the same data; None if there are none."""
    if seen.annotated is None or not images:
        return None
    positions = same_input(seen.annotated, images)
    table, metrics = score_images(seen.model, seen.annotated, positions)
    kinds = {"boxes": "bbox", "masks": "segm"} if "segm/AP" in metrics else {"boxes": "bbox"}
    entries = [(name, *(metrics[f"{kind}/{name}"] for kind in kinds.values())) for name in ("AP", "AP50", "AP75")]
    together = Table(("", *kinds), entries, "All of them together, mean over classes")
    return Step(
        "Average precision of several images",
        f"{pluralize(len(positions), 'image')} of the data, drawn at random among those that are padded to the same "
        "size. The AP of one image takes all classes together; its mean over images is not a mean over classes, so "
        "COCO's metrics of the same images stand beside it.",
        facts={"Images": len(positions), "Objects": int(np.sum([entry[2] for entry in table.entries[:-1]]))},
        tables=[together, table],
    )


def same_input(annotated: AnnotatedImage, count: int, seed: int = 0) -> list[int]:
    """Up to `count` random images of the data set that are padded to the size of this one: nothing is recompiled."""
    _, padded = fitted_sizes(np.asarray(annotated.source.sizes), annotated.config.model.input)
    same = np.flatnonzero((padded == padded[annotated.position]).all(axis=1))
    return sorted(np.random.default_rng(seed).permutation(same)[:count].tolist())


def score_images(
    model: MaskRCNN, annotated: AnnotatedImage, positions: Sequence[int]
) -> tuple[Table, dict[str, float]]:
    """Average precision of several images, of each one and of all together.

    Returns:
        An entry per image, all classes together, and the metrics of `coco.coco_metrics` over all images.
    """
    source = annotated.source
    masks = model.config.mask_head is not None and source.has_masks
    results: list[CocoResult] = []
    entries: list[tuple[Any, ...]] = []
    for position in positions:
        example = source[position]
        seen = run_model(model, example.image, annotated._replace(position=position, example=example))
        outcome = seen.outcome
        assert outcome is not None, "its objects are known"
        aps = [image_precision(outcome, threshold) for threshold in THRESHOLDS]
        counts = len(outcome.is_crowd), len(outcome.scores)
        entries.append((position, example.image_id, *counts, float(np.mean(aps)), *aps))
        results += seen.results(source, example.image_id)
    values = np.array([entry[4:] for entry in entries])
    known = values[~np.isnan(values[:, 0])]
    mean = known.mean(axis=0) if len(known) else values[0]
    entries.append(("mean", "", *(sum(entry[column] for entry in entries) for column in (2, 3)), *mean.tolist()))
    columns = ("image", "id", "objects", "detections", "AP", *(f"at {threshold:.2f}" for threshold in THRESHOLDS))
    kind = "masks" if masks else "boxes"
    table = Table(columns, entries, f"AP of {kind} in each image, all classes together", [len(entries) - 1])
    return table, coco_metrics(of_examples(source, positions), results, masks=masks)
