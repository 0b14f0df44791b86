"""From pictures of any size to detections in their own pixels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from maskrcnn_jax.config import PasteRule
from maskrcnn_jax.data.transforms import Fitted, fit
from maskrcnn_jax.model import MaskRCNN, forward, picture_windows
from maskrcnn_jax.ops.boxes import clip, shorten
from maskrcnn_jax.paste import paste_mask, snap
from maskrcnn_jax.structs import Detections, Proposals
from maskrcnn_jax.validate import validate_input
from maskrcnn_jax.weights import Arrays, merge, split


@partial(jax.jit, static_argnames="structure")
def detect(
    structure: nnx.GraphDef,
    params: Arrays,
    statistics: Arrays,
    images: jax.Array,
    image_sizes: jax.Array,
    proposals: Proposals | None = None,
) -> Detections:
    """The detections of a padded batch, compiled once per shape; see `forward`.

    Boxes, those of `proposals`, too, count from the upper left corners of the pictures and are continuous, whatever the
    model's padding and boxes are like inside.
    """
    model = merge(structure, params, statistics)
    windows = picture_windows(image_sizes, (images.shape[1], images.shape[2]), model.config.input)
    ends = float(model.config.inclusive_boxes)
    corners = jnp.tile(windows[:, :2], 2)[:, None]
    if proposals is not None:
        boxes = jax.vmap(clip)(proposals.boxes + jnp.broadcast_to(corners, proposals.boxes.shape), windows)
        proposals = proposals._replace(boxes=shorten(boxes, ends))
    found = forward(model, images, image_sizes, proposals=proposals).detections
    boxes = shorten(found.boxes, -ends) - jnp.broadcast_to(corners, found.boxes.shape)
    return found._replace(boxes=jnp.where(found.valid[..., None], boxes, 0.0))


class Predictor:
    """Finds the objects in RGB pictures of any size.

    Pictures are resized as the model's configuration says, padded to one of its buckets and run in batches. Each bucket
    and each power of two of pictures up to `batch_size` compiles once, whatever sizes come. A model without buckets, as
    torchvision's and Detectron2's are, has each picture padded to multiples of 32: that gives the numbers of those
    systems, and takes a compilation for each padded size.

    Args:
        model: the network.
        batch_size: pictures that are run together, at most.
        buckets: padded (height, width) to use in place of the model's.

    Raises:
        ValueError: the batch size is not positive.
        ConfigError: no bucket holds a picture of the lengths that the model's configuration asks for, or a side is no
            multiple of 32.
    """

    def __init__(self, model: MaskRCNN, *, batch_size: int = 8, buckets: tuple[tuple[int, int], ...] | None = None):
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size!r}: must be at least 1")
        self.config = model.config
        if buckets is not None:
            self.config = replace(model.config, input=replace(model.config.input, buckets=buckets))
            validate_input(self.config.input)
        self.class_names = model.config.class_names
        self.batch_size = batch_size
        self._paste: PasteRule = "exact" if self.config.mask_head is None else self.config.mask_head.paste
        self._weights = split(model)

    def __call__(self, images: Sequence[np.ndarray], proposals: Sequence[np.ndarray] | None = None) -> list[Detections]:
        """Detects in all pictures.

        Args:
            images: `[h, w, 3]` uint8 RGB each.
            proposals: boxes to classify instead of the region proposal network's (Fast R-CNN), `[n, 4]` float, pixels
                of the picture, one array per picture.

        Returns:
            One Detections of NumPy arrays per picture, best first, without padding: boxes `[D, 4]` in pixels of the
            picture, scores, labels, and masks `[D, h, w]` bool, or None for a model without mask head.

        Raises:
            ValueError: an image is not uint8 RGB, or there is not one array of proposals per picture.
        """
        for i, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise ValueError(
                    f"images[{i}] is {image.dtype} of shape {image.shape}: pass uint8 RGB of shape (height, width, 3)"
                )
        if proposals is not None and len(proposals) != len(images):
            raise ValueError(f"{len(proposals)} arrays of proposals for {len(images)} images: pass one per image")
        fitted = [fit(image, self.config.input) for image in images]
        results: list[Detections | None] = [None] * len(images)
        for rows in self._batches(fitted):
            boxes = (
                None if proposals is None else pad_proposals([proposals[i] for i in rows], [fitted[i] for i in rows])
            )
            pictures = np.stack([fitted[i].image for i in rows])
            sizes = np.stack([fitted[i].size for i in rows])
            found = jax.device_get(detect(*self._weights, pictures, sizes, boxes))
            for row, i in enumerate(rows[: len(set(rows))]):
                one = jax.tree.map(lambda x, row=row: x[row], found)
                results[i] = to_original(one, images[i].shape[:2], fitted[i].scale, self._paste)
        return [r for r in results if r is not None]

    def _batches(self, fitted: Sequence[Fitted]) -> list[list[int]]:
        """Positions of pictures of one shape, filled up to a power of two by repeating the last."""
        batches = []
        for shape in dict.fromkeys(f.image.shape for f in fitted):
            same = [i for i, f in enumerate(fitted) if f.image.shape == shape]
            for start in range(0, len(same), self.batch_size):
                rows = same[start : start + self.batch_size]
                length = min(self.batch_size, 1 << (len(rows) - 1).bit_length())
                batches.append(rows + rows[-1:] * (length - len(rows)))
        return batches


def pad_proposals(boxes: Sequence[np.ndarray], fitted: Sequence[Fitted]) -> Proposals:
    """Boxes in pixels of their pictures as Proposals in pixels of the network input, padded to a power of two."""
    slots = 1 << (max(1, *(len(b) for b in boxes)) - 1).bit_length()
    padded = np.zeros((len(boxes), slots, 4), np.float32)
    valid = np.zeros((len(boxes), slots), bool)
    for row, (b, f) in enumerate(zip(boxes, fitted, strict=True)):
        padded[row, : len(b)] = np.reshape(b, (-1, 4)) * np.tile(f.scale, 2)
        valid[row, : len(b)] = True
    return Proposals(padded, valid.astype(np.float32), valid)


def to_original(
    detections: Detections, size: tuple[int, int], scale: tuple[float, float], paste: PasteRule = "exact"
) -> Detections:
    """One picture's detections without padding, in its own pixels.

    Args:
        detections: `[D]` slots, in pixels of the network input.
        size: `(height, width)` of the picture.
        scale: `(x, y)` network pixels per picture pixel.
        paste: Where masks lie: `MaskHeadConfig.paste`.
    """
    kept = jax.tree.map(lambda x: x[detections.valid], detections)
    height, width = size
    boxes = np.clip(kept.boxes / np.tile(scale, 2), 0, [width, height, width, height]).astype(np.float32)
    masks = kept.masks
    if masks is not None:
        places = snap(boxes, masks.shape[-1], paste)
        pasted = [paste_mask(mask, place, height, width) for mask, place in zip(masks, places, strict=True)]
        masks = np.stack(pasted) if pasted else np.zeros((0, height, width), bool)
    return kept._replace(boxes=boxes, masks=masks)
