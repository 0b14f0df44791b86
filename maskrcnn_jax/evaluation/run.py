"""Detects in every image of a data set and scores the detections."""

import contextlib
import logging
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from maskrcnn_jax.config import Config, require
from maskrcnn_jax.data.pipeline import validation_batches
from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.distributed.mesh import from_devices, to_devices
from maskrcnn_jax.distributed.processes import gather, is_first
from maskrcnn_jax.evaluation.coco import CocoEvaluator, coco_metrics, label_categories, write_evaluation
from maskrcnn_jax.messages.counts import pluralize, shorten_list
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.detector import Detector

log = logging.getLogger(__name__)


SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def evaluate(model: MaskRCNN, source: ImageSource, config: Config, folder: Path, mesh: Mesh) -> dict[str, float]:
    """Detects in every image of a source, scores the detections and writes both.

    While the device runs a batch, the host pastes and encodes the masks of the one before. Several processes share
    the images; each has all results at the end, and the first writes them.

    Args:
        model: its weights are on the mesh, or, if there is only one process, on any device.
        source: the images and their objects.
        config: how to batch them; its class names and conventions are the model's.
        folder: gets `detections.json` and `metrics.json`.
        mesh: see `mesh.data_mesh`.

    Returns:
        Metrics by name, `"bbox/AP"` … `"segm/AP50"` …, in [0, 1]; see `coco.coco_metrics`.
    """
    detector, head = Detector(model), config.model.mask_head
    categories = label_categories(config.model.class_names, source.class_names, source.category_ids)
    paste = "exact" if head is None else head.paste
    truth = source.coco()
    evaluator = CocoEvaluator(
        truth, categories, masks=head is not None, paste=paste, inclusive=config.model.inclusive_boxes
    )
    others = {other.name: other.start(source, config.model) for other in config.evaluators}

    def add(found: Any, records: Any) -> None:
        detections = from_devices(found, mesh)
        evaluator.add(detections, records)
        for scores in others.values():
            scores.add(detections, records)

    batches = validation_batches(
        source,
        config.model.input,
        config.data.validation_batch_size,
        jax.process_index(),
        jax.process_count(),
        threads=config.data.threads,
    )
    pending: deque[tuple[Any, ...]] = deque()
    with jax.set_mesh(mesh), contextlib.closing(batches):
        for batch, records in batches:
            pending.append((detector(*to_devices((batch.images, batch.image_sizes), mesh)), records))
            if len(pending) > 1:
                add(*pending.popleft())
        add(*pending.pop())
    # Sorted, so that the order does not depend on the number of processes.
    results = sorted(gather(evaluator.results()), key=lambda result: result["image_id"])
    metrics = coco_metrics(truth, results, masks=head is not None)
    for name, scores in others.items():
        metrics |= {f"{name}/{metric}": float(value) for metric, value in scores.metrics().items()}
    if is_first():
        write_evaluation(folder, results, metrics)
    return metrics


def check_compatible(config: Config, source: ImageSource, devices: int) -> None:
    """Checks that a configuration and the data to evaluate on agree.

    Classes are compared by name if the model has names, and one in common is enough; a warning lists those of the data
    that the model does not have. Else their number must be equal, and their order is assumed to be.

    Raises:
        ConfigError: the data is empty, has other classes, or has no masks where the model finds them; or a batch does
            not divide among the devices.
    """
    require_masks(config, source, "data.validation", config.data.validation)
    count, names, classes = config.data.validation_batch_size, config.model.class_names, source.class_names
    require(len(source) > 0, "data.validation", config.data.validation, "holds no image; choose another split")
    if names:
        unknown = [name for name in classes if name not in names]
        remedy = f"the data has none of these classes, but {shorten_list(classes)}; evaluate on other data"
        require(len(unknown) < len(classes), "model.class_names", shorten_list(names), remedy)
        if unknown:
            log.warning("classes of the data that the model does not have, so their AP is 0: %s", ", ".join(unknown))
    else:
        remedy = f"the data has {pluralize(len(classes), 'class')}; set --model.num-classes {len(classes)}"
        require(len(classes) == config.model.num_classes, "model.num_classes", config.model.num_classes, remedy)
    remedy = f"must be a multiple of the number of devices, {devices}"
    require(count % devices == 0, "data.validation_batch_size", count, remedy)


def require_masks(config: Config, source: ImageSource, where: str, value: Any) -> None:
    """Raises ConfigError if a mask head would be trained or scored on data without masks.

    Args:
        config: has the model.
        source: the data.
        where: dotted name of the data in the configuration.
        value: its value in the configuration.
    """
    remedy = f"must be None: {where} = {value!r} has boxes alone; set mask_head=None there, or give data with masks"
    require(source.has_masks or config.model.mask_head is None, "model.mask_head", config.model.mask_head, remedy)


def summary(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The main metrics of each kind, "bbox" and "segm", and all of further evaluators."""
    kinds: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        kind, _, metric = name.partition("/")
        if kind not in ("bbox", "segm") or metric in SUMMARY:
            kinds.setdefault(kind, {})[metric] = value
    return kinds


def table(metrics: Mapping[str, float]) -> str:
    """The main metrics as text, one line per kind."""
    lines = ([kind, *(f"{name} {value:.3f}" for name, value in own.items())] for kind, own in summary(metrics).items())
    return "\n".join("  ".join(line) for line in lines)
