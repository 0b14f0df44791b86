"""AP of a trained run, computed here and by torchvision with the exported model, on the run's validation images.

python tests/parity/exported_ap.py runs/shapes
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from faster_coco_eval.core import mask as rle

from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.config.loading import read_config
from maskrcnn_jax.evaluation.coco import coco_metrics
from maskrcnn_jax.prediction.coco_results import CocoResult
from maskrcnn_jax.prediction.predictor import Predictor


def results(
    image_id: int, boxes: np.ndarray, scores: np.ndarray, categories: list[int], masks: np.ndarray
) -> list[CocoResult]:
    """One image's detections in COCO's results format; masks `[n, h, w]` bool."""
    found = []
    for box, score, category, mask in zip(boxes.tolist(), scores.tolist(), categories, masks, strict=True):
        x0, y0, x1, y1 = box
        code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        found.append(
            {
                "image_id": image_id,
                "category_id": category,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "score": score,
                "segmentation": code,
            }
        )
    return found


def main(folder: Path) -> None:
    config, model = read_config(folder), load_pretrained(folder)
    source = config.data.validation.open()
    with tempfile.TemporaryDirectory() as temporary:
        _, builder = save_pretrained(model, Path(temporary) / "model.pth")
        spec = importlib.util.spec_from_file_location("exported", builder)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        exported = module.load_model()
    predictor, ours, theirs = Predictor(model), [], []
    for i in range(len(source)):
        example = source[i]
        [found] = predictor([example.image])
        ours += results(
            example.image_id,
            found.boxes,
            found.scores,
            [source.category_ids[label] for label in found.labels],
            found.masks,
        )
        with torch.no_grad():
            [other] = exported([torch.from_numpy(example.image).permute(2, 0, 1).float() / 255])
        theirs += results(
            example.image_id,
            other["boxes"].numpy(),
            other["scores"].numpy(),
            [source.category_ids[label - 1] for label in other["labels"]],
            other["masks"][:, 0].numpy() >= 0.5,
        )
    scored = [coco_metrics(source.coco(), found, masks=True) for found in (ours, theirs)]
    print(f"{len(source)} images; {len(ours)} detections here, {len(theirs)} in torchvision")
    for name in ("bbox/AP", "bbox/AP50", "bbox/AP75", "segm/AP", "segm/AP50", "segm/AP75"):
        here, there = (metrics[name] for metrics in scored)
        print(f"{name:10} {here:.5f} {there:.5f} {there - here:+.5f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
