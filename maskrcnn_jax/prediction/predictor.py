"""Prediction on images of any size; detections are in pixels of each image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from maskrcnn_jax.data.transforms.geometry import Fitted, fit
from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.masks.paste import snap
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, ModelConfig
from maskrcnn_jax.prediction.coordinates import to_image_coords, to_input_coords
from maskrcnn_jax.prediction.detector import Detector
from maskrcnn_jax.prediction.images import load_images
from maskrcnn_jax.prediction.result import Result
from maskrcnn_jax.structs import Detections, Proposals


class Predictor:
    """Finds the objects in images of any size.

    Images are resized as the model's configuration says, padded to one of its buckets and run in batches. Each bucket
    and each power of two of images up to `batch_size` compiles once, for images of any size. For a model without
    buckets, such as torchvision's and Detectron2's, each image is padded to multiples of 32: that gives the numbers of
    those systems, and takes a compilation for each padded size.

    Args:
        model: the network.
        batch_size: images per batch, at most.
        buckets: padded (height, width) to use in place of the model's.

    Raises:
        ValueError: the batch size is not positive.
        ConfigError: no bucket holds an image resized as the model's configuration says, or a side is not a multiple
            of 32.
    """

    def __init__(self, model: MaskRCNN, *, batch_size: int = 8, buckets: tuple[tuple[int, int], ...] | None = None):
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size!r}: must be at least 1")
        self.config = model.config
        if buckets is not None:
            self.config = replace(model.config, input=replace(model.config.input, buckets=buckets))
            self.config.input.validate("model.input")
        self.class_names = model.config.class_names
        self.batch_size = batch_size
        self._detector = Detector(model)

    def __call__(self, images: Any, proposals: Sequence[np.ndarray] | None = None) -> list[Result]:
        """Detects in one image or several.

        Args:
            images: a path, URL, Pillow image or array, or a list or generator of them, which may be mixed. Arrays are
                `[h, w, 3]` uint8 RGB; what else is converted, and how, is in `prediction.images.to_rgb`. Images in
                files are turned as their EXIF orientation says.
            proposals: boxes to classify instead of the region proposal network's (Fast R-CNN), `[n, 4]` float, pixels
                of the image, one array per image.

        Returns:
            One Result per image, best object first; a list of one for a single image.

        Raises:
            ValueError: something is no image, or the number of arrays of proposals is not that of the images.
            OSError: a file or URL cannot be read.
        """
        loaded = load_images(images)
        found = self.detect([image for image, _ in loaded], proposals)
        return [Result(*image, one, self.class_names) for image, one in zip(loaded, found, strict=True)]

    def detect(self, images: Sequence[np.ndarray], proposals: Sequence[np.ndarray] | None = None) -> list[Detections]:
        """The detections of arrays, with small masks: what `__call__` wraps.

        Args:
            images: `[h, w, 3]` uint8 RGB each.
            proposals: as in `__call__`.

        Returns:
            One Detections of NumPy arrays per image, best first, without padding: boxes `[D, 4]` in pixels of the
            image, scores, labels, and masks as `Crops`, or None for a model without mask head.

        Raises:
            ValueError: the number of arrays of proposals is not that of the images.
        """
        if proposals is not None and len(proposals) != len(images):
            raise ValueError(f"{len(proposals)} arrays of proposals for {len(images)} images: pass one per image")
        fitted = [fit(image, self.config.input) for image in images]
        inside = None
        if proposals is not None:
            inside = [
                to_input_coords(np.reshape(boxes, (-1, 4)), image.shape[:2], f.scale, self.config.inclusive_boxes)
                for boxes, image, f in zip(proposals, images, fitted, strict=True)
            ]
        results: list[Detections | None] = [None] * len(images)
        for batch in self._batches(fitted):
            boxes = None if inside is None else pad_proposals([inside[i] for i in batch])
            stacked = np.stack([fitted[i].image for i in batch])
            sizes = np.stack([fitted[i].size for i in batch])
            found = jax.device_get(self._detector(stacked, sizes, boxes))
            for row, i in enumerate(batch[: len(set(batch))]):
                one = jax.tree.map(lambda x, row=row: x[row], found)
                results[i] = to_original(one, images[i].shape[:2], fitted[i].scale, self.config)
        return [r for r in results if r is not None]

    def _batches(self, fitted: Sequence[Fitted]) -> list[list[int]]:
        """Indices of images of one shape, padded to a power of two by repeating the last."""
        batches = []
        for shape in dict.fromkeys(f.image.shape for f in fitted):
            same = [i for i, f in enumerate(fitted) if f.image.shape == shape]
            for start in range(0, len(same), self.batch_size):
                batch = same[start : start + self.batch_size]
                length = min(self.batch_size, 1 << (len(batch) - 1).bit_length())
                batches.append(batch + batch[-1:] * (length - len(batch)))
        return batches


def pad_proposals(boxes: Sequence[np.ndarray]) -> Proposals:
    """Boxes of several images as Proposals, padded to a power of two."""
    slots = 1 << (max(1, *(len(b) for b in boxes)) - 1).bit_length()
    padded = np.zeros((len(boxes), slots, 4), np.float32)
    valid = np.zeros((len(boxes), slots), bool)
    for row, b in enumerate(boxes):
        padded[row, : len(b)] = b
        valid[row, : len(b)] = True
    return Proposals(padded, valid.astype(np.float32), valid)


def to_original(
    detections: Detections,
    size: tuple[int, int],
    scale: tuple[float, float],
    config: ModelConfig,
) -> Detections:
    """One image's detections without padding, in its own pixels, with masks as `Crops`.

    Args:
        detections: `[D]` slots, as `detect` gives them.
        size: `(height, width)` of the image.
        scale: `(x, y)` network pixels per image pixel.
        config: Of the model.
    """
    kept = jax.tree.map(lambda x: x[detections.valid], detections)
    height, width = size
    boxes = to_image_coords(kept.boxes, size, scale, config.inclusive_boxes).astype(np.float32)
    masks = kept.masks
    if masks is not None and config.mask_head is not None:
        regions = snap(boxes, masks.shape[-1], config.mask_head.paste)
        window = (0, 0, width, height)
        masks = Crops([(Patch(mask, region, window),) for mask, region in zip(masks, regions, strict=True)])
    return kept._replace(boxes=boxes, masks=masks)
