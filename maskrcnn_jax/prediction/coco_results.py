"""Detections of one image in COCO's results format."""

from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle

from maskrcnn_jax.masks.paste import Crop, PasteRule, paste_crop, snap
from maskrcnn_jax.prediction.coordinates import to_image_coords
from maskrcnn_jax.structs import Detections, ImageRecord

CocoResult = dict[str, Any]
"""One detection in the COCO results format."""


def image_results(
    detections: Detections,
    record: ImageRecord,
    category_ids: tuple[int | None, ...],
    *,
    masks: bool,
    paste: PasteRule = "exact",
    inclusive: bool = False,
) -> list[CocoResult]:
    """One image's detections in COCO's results format.

    Boxes are scaled to the original image and clipped to it; those that have no area left are dropped.

    Args:
        detections: Of one image, without the leading `B`.
        record: The image.
        category_ids: The data set's category id of each label, or None.
        masks: Add the pasted masks as run-length code.
        paste: How masks are pasted: `MaskHead.paste`.
        inclusive: `ModelConfig.inclusive_boxes`.

    Raises:
        ValueError: A label has no category.
    """
    largest = int(detections.labels[detections.valid].max(initial=0))
    if largest >= len(category_ids):
        raise ValueError(
            f"label {largest} has no category: category_ids has {len(category_ids)}; "
            "model.num_classes and the data set must agree"
        )
    boxes = to_image_coords(detections.boxes, (record.height, record.width), record.scale, inclusive)
    good = detections.valid & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    probabilities = np.asarray(detections.masks) if masks else None
    regions = boxes if probabilities is None else snap(boxes, probabilities.shape[-1], paste)
    results = []
    for index in np.flatnonzero(good):
        category_id = category_ids[detections.labels[index]]
        if category_id is None:
            continue
        x0, y0, x1, y1 = boxes[index].tolist()
        result: CocoResult = {
            "image_id": int(record.image_id),
            "category_id": int(category_id),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(detections.scores[index]),
        }
        if probabilities is not None:
            crop = paste_crop(probabilities[index], regions[index], record.height, record.width)
            result["segmentation"] = encode_crop(crop, record.height, record.width)
        results.append(result)
    return results


def encode_crop(crop: Crop, height: int, width: int) -> dict[str, Any]:
    """COCO's compressed run-length code of a mask over the whole image, without building that mask.

    COCO's order is column by column, so only the columns of the crop are read.
    """
    side, columns = crop.mask.shape
    strip = np.zeros(1 + columns * height + 1, bool)  # between two pixels that are not set
    strip[1:-1].reshape(columns, height)[:, crop.y : crop.y + side] = crop.mask.T
    changes = np.flatnonzero(strip[1:] != strip[:-1]) + crop.x * height
    counts = np.diff(np.concatenate([[0], changes, [height * width]]))
    if counts[-1] == 0:  # the last pixel is set
        counts = counts[:-1]
    code = rle.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": code["counts"].decode()}
