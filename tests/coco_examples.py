"""COCO annotations and detections of synthetic objects."""

import numpy as np
from pycocotools import mask as reference_rle

from maskrcnn_jax.structs import Detections

CATEGORIES = [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}, {"id": 17, "name": "owl"}, {"id": 90, "name": "rat"}]


def ellipse(rng, height, width):
    y, x = np.mgrid[:height, :width]
    radii = rng.uniform(3, 0.4 * min(height, width), 2)
    centre = rng.uniform(0, 1, 2) * (height, width)
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1


def encode(mask):
    code = reference_rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def annotation(number, image_id, category_id, mask, crowd=0):
    code = encode(mask)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": crowd,
        "area": float(mask.sum()),
        "bbox": reference_rle.toBbox(code).tolist(),
        "segmentation": code,
    }


def detections(boxes, labels=None, scores=None, valid=None, masks=None, side=28):
    """A batch of one image."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(
        boxes=boxes[None],
        scores=np.full((1, count), 0.5, np.float32) if scores is None else np.array([scores], np.float32),
        labels=np.zeros((1, count), np.int32) if labels is None else np.array([labels], np.int32),
        valid=np.ones((1, count), bool) if valid is None else np.array([valid]),
        masks=np.ones((1, count, side, side), np.float32) if masks is None else np.asarray(masks)[None],
    )
