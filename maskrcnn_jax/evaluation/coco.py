"""COCO box and mask AP, computed on the host while the device runs the next batch."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as rle
from jaxtyping import Float64

from maskrcnn_jax.files.writing import written_whole
from maskrcnn_jax.masks.paste import PasteRule
from maskrcnn_jax.prediction.coco_results import CocoResult, image_results
from maskrcnn_jax.structs import Detections, ImageRecord

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""COCO's twelve metrics in its order."""

CURVES = ("precision", "recall")
"""The entries of the library's `eval` that its `summarize` reads."""

AHEAD = 4
"""Batches that wait for their conversion, at most."""


def label_categories(
    class_names: Sequence[str], data_names: Sequence[str], category_ids: Sequence[int]
) -> tuple[int | None, ...]:
    """Maps the labels of a model to the categories of a data set.

    Args:
        class_names: The model's, one per label; if it has none, labels and categories are matched by position.
        data_names: The data set's, one per category.
        category_ids: The data set's, one per category.

    Returns:
        A category id per label; None for a class that the data set does not have.
    """
    if not class_names:
        return tuple(category_ids)
    ids = dict(zip(data_names, category_ids, strict=True))
    return tuple(ids.get(name) for name in class_names)


class CocoEvaluator:
    """Collects detections and scores them.

    Args:
        ground_truth: A data set in COCO's JSON form: images, annotations, categories.
        category_ids: The data set's category id of each label; detections of a label with None are left out.
        masks: Score masks as well as boxes.
        paste: How masks are pasted: `MaskHead.paste`.
        inclusive: `ModelConfig.inclusive_boxes`.
    """

    def __init__(
        self,
        ground_truth: Mapping[str, Any],
        category_ids: tuple[int | None, ...],
        *,
        masks: bool,
        paste: PasteRule = "exact",
        inclusive: bool = False,
    ) -> None:
        wanted = {category for category in category_ids if category is not None}
        unknown = sorted(wanted - {category["id"] for category in ground_truth["categories"]})
        if unknown:
            raise ValueError(
                f"category_ids {unknown} are not among the categories of the ground truth; fix the mapping"
            )
        self._ground_truth = ground_truth
        self._masks = masks
        self._of_image = partial(
            image_results, category_ids=category_ids, masks=masks, paste=paste, inclusive=inclusive
        )
        # One thread: pasting is many short NumPy calls that hold Python's lock. Four took twice as long.
        self._worker = ThreadPoolExecutor(1)
        self._pending: deque[Future[list[CocoResult]]] = deque()
        self._results: list[CocoResult] = []

    def add(self, detections: Detections, records: Sequence[ImageRecord]) -> None:
        """Adds a batch; blocks only while `AHEAD` others wait for their conversion.

        Args:
            detections: NumPy arrays as `prediction.detector.Detector` gives them; `masks` over the boxes.
            records: One per image, in the same order; fewer than `B` where the last images only pad the batch.

        Raises:
            ValueError: There are more records than images, or no masks although masks are scored.
        """
        if len(records) > len(detections.boxes):
            raise ValueError(
                f"{len(records)} records for a batch of {len(detections.boxes)} images; give one per image"
            )
        if self._masks and detections.masks is None:
            raise ValueError("the detections hold no masks; construct the evaluator with masks=False")
        while len(self._pending) >= AHEAD:
            self._collect()
        self._pending.append(self._worker.submit(self._convert, detections, records))

    def results(self) -> list[CocoResult]:
        """All detections so far in COCO's results format, in the order of the images."""
        while self._pending:
            self._collect()
        return list(self._results)

    def evaluate(self) -> dict[str, float]:
        """The metrics of `coco_metrics` for all detections so far."""
        return coco_metrics(self._ground_truth, self.results(), masks=self._masks)

    def _convert(self, detections: Detections, records: Sequence[ImageRecord]) -> list[CocoResult]:
        results = []
        for index, record in enumerate(records):
            image = jax.tree.map(itemgetter(index), detections)
            results += self._of_image(image, record)
        return results

    def _collect(self) -> None:
        self._results += self._pending.popleft().result()


def coco_metrics(ground_truth: Mapping[str, Any], results: Sequence[CocoResult], *, masks: bool) -> dict[str, float]:
    """Scores detections; results of several processes may be concatenated.

    The size of a detection is the area of its box for boxes and of its mask for masks, as in Detectron2. pycocotools
    takes the area of the box for both where a results file has both.

    Args:
        ground_truth: A data set in COCO's JSON form; every image of it counts, and of its annotations those of its
            images.
        results: In COCO's results format.
        masks: Score masks as well as boxes.

    Returns:
        `bbox/AP`, `bbox/AP50` … `bbox/ARl`, `bbox/AP/<class name>` in [0, 1], and with masks the same under `segm/`.
        A size or class without objects in the data set has -1, as in COCO.

    Raises:
        ValueError: A result belongs to an image or a category that the ground truth does not have, or that has no
            categories.
    """
    if not ground_truth["categories"]:
        raise ValueError("the ground truth has no categories; without classes there is nothing to score")
    for key, table in (("image_id", "images"), ("category_id", "categories")):
        unknown = sorted({result[key] for result in results} - {entry["id"] for entry in ground_truth[table]})
        if unknown:
            raise ValueError(
                f"results have {key} {unknown[:10]}, which the ground truth lacks; evaluate the same split"
            )
    metrics = _score(ground_truth, results, "bbox")
    if masks:
        metrics |= _score(ground_truth, results, "segm")
    return metrics


def write_evaluation(folder: Path | str, results: Sequence[CocoResult], metrics: Mapping[str, float]) -> None:
    """Writes `detections.json` (COCO's results format) and `metrics.json`; each file is replaced atomically."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"detections.json": _json_list(results), "metrics.json": [json.dumps(metrics, indent=2), "\n"]}
    for name, content in contents.items():
        with written_whole(folder / name) as partial, partial.open("w", encoding="utf-8") as file:
            file.writelines(content)


def _json_list(entries: Sequence[CocoResult]) -> Iterator[str]:
    """A list as JSON, one entry per line; never all of it in memory."""
    yield "["
    for number, entry in enumerate(entries):
        yield ("," if number else "") + "\n" + json.dumps(entry)
    yield "\n]\n"


def _score(ground_truth: Mapping[str, Any], results: Sequence[CocoResult], kind: str) -> dict[str, float]:
    images = {image["id"]: image for image in ground_truth["images"]}
    objects = _by_category(entry for entry in ground_truth["annotations"] if entry["image_id"] in images)
    found = _by_category(results)
    curves, metrics = [], {}
    for category in sorted(ground_truth["categories"], key=lambda category: category["id"]):
        own, claimed = objects[category["id"]], found[category["id"]]
        seen = sorted({entry["image_id"] for entry in (*own, *claimed)})
        curve = _score_class(category, [images[image] for image in seen], own, claimed, kind)
        curves.append(curve)
        precision = curve["precision"][:, :, 0, 0, -1]  # of objects of all sizes, of up to 100 detections
        known = precision[precision > -1]
        metrics[f"{kind}/AP/{category['name']}"] = float(known.mean()) if known.size else -1.0
    whole = COCOeval_faster(iouType=kind)
    whole.eval = {name: np.concatenate([curve[name] for curve in curves], axis=-3) for name in CURVES}
    whole.summarize()
    return {f"{kind}/{name}": float(value) for name, value in zip(METRICS, whole.stats, strict=True)} | metrics


def _score_class(
    category: dict[str, Any],
    images: list[dict[str, Any]],
    objects: Sequence[dict[str, Any]],
    found: Sequence[CocoResult],
    kind: str,
) -> dict[str, Float64[np.ndarray, "... 1 area count"]]:
    """The library's result for one class: all at once would take several times the memory.

    Returns:
        `precision`, `[IoU, recall, 1, area, detections per image]`, and `recall`, `[IoU, 1, area, …]`.
    """
    if kind == "segm":
        sizes = rle.area([result["segmentation"] for result in found])
    else:
        sizes = [result["bbox"][2] * result["bbox"][3] for result in found]
    # The library changes its inputs.
    truth = [dict(entry) for entry in objects]
    results = [
        {**result, "id": number, "area": float(size), "iscrowd": 0}
        for number, (result, size) in enumerate(zip(found, sizes, strict=True), start=1)
    ]
    sides = (COCO({"images": images, "annotations": side, "categories": [category]}) for side in (truth, results))
    # Without threads: each would get only the few masks of one image.
    evaluation = COCOeval_faster(*sides, kind, rle_iou_max_workers=1)
    evaluation.evaluate()
    evaluation.accumulate()
    return {name: evaluation.eval[name] for name in CURVES}


def _by_category(entries: Iterable[dict[str, Any]]) -> defaultdict[int, list[dict[str, Any]]]:
    classes = defaultdict(list)
    for entry in entries:
        classes[entry["category_id"]].append(entry)
    return classes
