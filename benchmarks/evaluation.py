"""COCO evaluation: images of 480 × 640 with 100 detections each, boxes and masks.

make bench ARGS=evaluation
"""

import contextlib
import io
import resource

import numpy as np
import pycocotools.mask
import torch
import tyro
from images import random_boxes
from pair import report, seconds
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.models.detection.roi_heads import paste_masks_in_image

from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.evaluation.coco import CocoEvaluator
from maskrcnn_jax.structs import Detections, ImageRecord

SHAPE = (480, 640)
CLASSES, OBJECTS, DETECTIONS = 80, 7, 100


def ground_truth(images: int) -> dict:
    """Rectangles as objects, as many per image as in COCO."""
    rng = np.random.default_rng(0)
    annotations = []
    for image in range(images):
        for x0, y0, x1, y1 in random_boxes(rng, OBJECTS, SHAPE).round().astype(float).tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(rng.integers(CLASSES)),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                    "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                }
            )
    return {
        "images": [{"id": i, "height": SHAPE[0], "width": SHAPE[1]} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in range(CLASSES)],
    }


def detections(image: int, truth: dict) -> Detections:
    """The objects with noise on their boxes, and many false positives; masks are ellipses."""
    rng = np.random.default_rng(image + 1)
    own = truth["annotations"][image * OBJECTS : (image + 1) * OBJECTS]
    found = np.array([entry["bbox"] for entry in own], np.float32)
    found[:, 2:] += found[:, :2]
    found += rng.normal(0, 3, found.shape)
    boxes = np.concatenate([found, random_boxes(rng, DETECTIONS - OBJECTS, SHAPE)])
    boxes = np.clip(boxes, 0, np.tile(SHAPE[::-1], 2)).astype(np.float32)
    labels = rng.integers(0, CLASSES, DETECTIONS).astype(np.int32)
    labels[:OBJECTS] = [entry["category_id"] for entry in own]
    scores = np.sort(rng.uniform(size=DETECTIONS).astype(np.float32))[::-1]
    y, x = np.mgrid[:28, :28] / 13.5 - 1
    masks = np.repeat((1 / (1 + np.exp(8 * (x**2 + y**2 - 0.9)))).astype(np.float32)[None], DETECTIONS, axis=0)
    return Detections(boxes, scores, labels, np.ones(DETECTIONS, bool), masks)


def ours(truth: dict) -> dict[str, float]:
    evaluator = CocoEvaluator(truth, tuple(range(CLASSES)), masks=True, paste=CONVENTIONS.mask_head.paste)
    for image in range(len(truth["images"])):
        found = Detections._make(field[None] for field in detections(image, truth))
        evaluator.add(found, [ImageRecord(image, *SHAPE, (1.0, 1.0))])
    return evaluator.evaluate()


def theirs(truth: dict) -> dict[str, float]:
    """As torchvision's `references/detection/coco_eval.py` does it, image after image."""
    coco = COCO()
    coco.dataset = {**truth, "annotations": [dict(entry) for entry in truth["annotations"]], "info": {}}
    coco.createIndex()
    boxes, masks = [], []
    for image in range(len(truth["images"])):
        found = detections(image, truth)
        pasted = paste_masks_in_image(torch.from_numpy(found.masks)[:, None], torch.from_numpy(found.boxes), SHAPE)
        for k, mask in enumerate(pasted[:, 0] > 0.5):
            code = pycocotools.mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
            x0, y0, x1, y1 = found.boxes[k].tolist()
            entry = {"image_id": image, "category_id": int(found.labels[k]), "score": float(found.scores[k])}
            boxes.append({**entry, "bbox": [x0, y0, x1 - x0, y1 - y0]})
            masks.append({**entry, "segmentation": code})
    metrics = {}
    for kind, results in (("bbox", boxes), ("segm", masks)):
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        metrics[f"{kind}/AP"] = float(evaluation.stats[0])
    return metrics


def peak() -> float:
    """Peak resident memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(images: int = 200, rounds: int = 3, whole: int = 5000) -> None:
    """Times both from the network's output to AP, which must be the same; then `ours` on as many images as val2017."""
    truth = ground_truth(images)
    metrics: dict[str, dict] = {}
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    memory = {}
    for _ in range(rounds):
        for name, run in (("ours", ours), ("theirs", theirs)):
            with contextlib.redirect_stdout(io.StringIO()):
                times[name].append(seconds(lambda name=name, run=run: metrics.update({name: run(truth)}))[0])
            if name == "ours" and not memory:
                # The peak never falls, so it is read before `theirs` runs for the first time.
                memory[images] = peak()
                full = seconds(lambda: ours(ground_truth(whole)))[0]
                memory[whole] = peak()
    for name in ("bbox/AP", "segm/AP"):
        apart = abs(metrics["ours"][name] - metrics["theirs"][name])
        assert apart < 2e-3, f"{name} differs by {apart}"
    medians = {name: float(np.median(taken)) for name, taken in times.items()}
    part = medians | {"ratio": medians["ours"] / medians["theirs"], "rounds": rounds}
    their_whole = medians["theirs"] * whole / images
    both = {"ours": full, "theirs": their_whole, "ratio": full / their_whole, "rounds": 1}
    results = {f"{images} images": part, f"{whole} images (theirs extrapolated)": both}
    for result, size in zip(results.values(), memory.values(), strict=True):
        result["ours, peak memory, GiB"] = size
    report("evaluation", results)


if __name__ == "__main__":
    tyro.cli(main)
