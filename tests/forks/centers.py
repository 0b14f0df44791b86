"""A fork: a head beside the mask head that finds the centre of each object's box, with target, loss and metric."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from maskrcnn_jax.config import Evaluator, Head, Loss, Phase
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.distributed.processes import gather
from maskrcnn_jax.training.losses import masked_mean


@dataclass(frozen=True)
class CenterHead(Head):
    """A heat map over each RoI, the highest where the centre of the object's box lies."""

    pool_size: int = 14
    channels: int = 64

    name: ClassVar = "center"

    def build(self, channels, classes, outputs, *, dtype, rngs):
        return CenterModule(channels, self.channels, dtype=dtype, rngs=rngs)

    def detect(self, detections, output):
        """Adds the centre of each detection, `[b, d, 2]` pixels."""
        _, _, height, width = output.output.shape
        best = output.output.reshape(*output.output.shape[:2], -1).argmax(axis=-1)
        cells = jnp.stack([best % width, best // width], axis=-1) + 0.5
        corner, end = output.rois.boxes[..., :2], output.rois.boxes[..., 2:]
        centers = corner + cells / jnp.array([[[width, height]]]) * (end - corner)
        return detections._replace(extras={**detections.extras, self.name: centers})


class CenterModule(nnx.Module):
    def __init__(self, inputs, channels, *, dtype, rngs):
        self.conv = nnx.Conv(inputs, channels, (3, 3), dtype=dtype, rngs=rngs)
        self.logits = nnx.Conv(channels, 1, (1, 1), dtype=dtype, rngs=rngs)

    def __call__(self, roi_features):
        x = roi_features.reshape(-1, *roi_features.shape[2:])
        logits = self.logits(nnx.relu(self.conv(x)))[..., 0].astype(jnp.float32)
        return logits.reshape(*roi_features.shape[:2], *logits.shape[1:])


@dataclass(frozen=True)
class CenterLoss(Loss):
    """Cross-entropy over the cells of each foreground RoI; the target is the cell that holds the object's centre."""

    name: ClassVar = "center"

    def __call__(self, model, trace, batch, key):
        rois, logits = trace.heads["center"].rois, trace.heads["center"].output
        side = logits.shape[-1]
        own = jax.vmap(lambda boxes, index: boxes[index])(batch.ground_truth.boxes, rois.matched_index)
        center = (own[..., :2] + own[..., 2:]) / 2
        corner, size = rois.boxes[..., :2], rois.boxes[..., 2:] - rois.boxes[..., :2]
        cell = jnp.clip((center - corner) / jnp.maximum(size, 1e-3) * side, 0, side - 1).astype(jnp.int32)
        target = cell[..., 1] * side + cell[..., 0]
        flat = logits.reshape(*logits.shape[:2], side * side)
        loss = optax.softmax_cross_entropy_with_integer_labels(flat, target)
        foreground = rois.valid & (rois.labels < model.config.num_classes)
        return masked_mean(loss, foreground, jnp.sum(foreground))


@dataclass(frozen=True)
class CenterDistance(Evaluator):
    """Mean distance from each detection's centre to the nearest centre of an object, pixels of the image."""

    name: ClassVar = "center"

    def start(self, source, model):
        return CenterScores(source)


class CenterScores:
    def __init__(self, source):
        self.indices = {image_id: index for index, image_id in enumerate(source.image_ids)}
        self.source, self.distances = source, []

    def add(self, detections, records):
        for i, record in enumerate(records):
            boxes = self.source[self.indices[record.image_id]].boxes
            objects = (boxes[:, :2] + boxes[:, 2:]) / 2
            found = detections.extras["center"][i][detections.valid[i]] / np.array(record.scale)
            if len(found) and len(objects):
                gaps = np.linalg.norm(found[:, None] - objects[None], axis=-1)
                self.distances.extend(gaps.min(axis=1).tolist())

    def metrics(self):
        distances = gather(self.distances)
        return {"distance": float(np.mean(distances)) if distances else -1.0}


base = load_config(Path("tests/configs/tiny.py"))
config = replace(
    base,
    model=replace(base.model, heads=(CenterHead(pool_size=7, channels=8),)),
    losses=(*base.losses, CenterLoss(weight=0.5)),
    evaluators=(CenterDistance(),),
    optimizer=replace(base.optimizer, phases=(Phase(r"heads\.center", until=10), Phase("all"))),
)
