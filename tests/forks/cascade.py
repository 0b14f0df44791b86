"""A fork: a cascade of two box heads (Cai and Vasconcelos 2018), the second on the boxes refined by the first."""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp

from maskrcnn_jax.config import BoxHead, BoxRegression, Classification, Loss, ModelConfig, Phase
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.model.sampler import Inference, Training
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.structs import BoxOutput, HeadOutput, Proposals


@dataclass(frozen=True)
class CascadeConfig(ModelConfig):
    """Mask R-CNN with a second box head after the first."""

    second: BoxHead = BoxHead(class_agnostic=True, box_weights=(20.0, 20.0, 10.0, 10.0))
    second_iou: float = 0.6
    """IoU from which a box refined by the first head is foreground for the second."""

    def validate(self, where):
        super().validate(where)
        self.second.validate(f"{where}.second")

    def build(self, *, rngs):
        return CascadeRCNN(self, rngs=rngs)


class CascadeRCNN(MaskRCNN):
    """The trace has the first head's RoIs and output as `heads["first"]`, the second's in the usual fields."""

    def __init__(self, config, *, rngs):
        super().__init__(config, rngs=rngs)
        classes = config.num_classes
        self.second = config.second.build(
            config.fpn.channels, classes, classes, dtype=jnp.dtype(config.dtype), rngs=rngs
        )

    def __call__(self, images, image_sizes, sampler=None):
        sampler, background = sampler or Inference(), self.config.num_classes
        trace = super().__call__(images, image_sizes, sampler)  # jit leaves out what is replaced below
        inputs = self.prepare(images, image_sizes)
        first = HeadOutput(trace.rois, trace.roi_levels, trace.roi_features, trace.box)

        rois = self.refined_sampler(sampler).box_rois(self.refine(first, inputs), background)
        roi_features, roi_levels = self.pool(trace.features, rois, self.config.second, inputs)
        box = BoxOutput(*self.second(roi_features))
        pairs, detections = self.detect(box, rois, inputs, self.config.second)

        head_rois = sampler.head_rois(rois, detections, background)
        heads = {name: self.apply_head(name, trace.features, head_rois, inputs) for name in self.config.roi_heads}
        detections = self.describe(detections, heads) if sampler.detects else detections
        return trace._replace(
            rois=rois,
            roi_levels=roi_levels,
            roi_features=roi_features,
            box=box,
            pairs=pairs,
            detections=detections,
            heads=heads | {"first": first},
        )

    def refine(self, first, inputs):
        """The RoIs refined by the first head, without gradient."""
        weights, cap = self.config.box_head.box_weights, self.config.rpn.proposals.max_log_scale
        deltas = jax.lax.stop_gradient(first.output.deltas[:, :, 0])
        boxes = jax.vmap(lambda d, b, r: box_ops.clip(box_ops.decode(d, b, weights, cap), r))(
            deltas, first.rois.boxes, inputs.regions
        )
        return Proposals(boxes, jnp.ones(boxes.shape[:2]), first.rois.valid)

    def refined_sampler(self, sampler):
        if not isinstance(sampler, Training):
            return sampler._replace(given=None)
        rois = replace(
            sampler.config.rois, foreground_iou=self.config.second_iou, background_iou=self.config.second_iou
        )
        return sampler._replace(config=replace(sampler.config, rois=rois))


@dataclass(frozen=True)
class First(Loss):
    """A loss of the box head, on the first head of the cascade."""

    of: Loss = Classification()

    @property
    def name(self):
        return f"first_{self.of.name}"

    def __call__(self, model, trace, batch, key):
        first = trace.heads["first"]
        return self.of(model, trace._replace(rois=first.rois, box=first.output), batch, key)


base = load_config(Path("tests/configs/tiny.py"))
model = base.model
config = replace(
    base,
    model=CascadeConfig(
        num_classes=model.num_classes,
        input=model.input,
        backbone=model.backbone,
        fpn=model.fpn,
        rpn=model.rpn,
        box_head=replace(model.box_head, class_agnostic=True),
        mask_head=model.mask_head,
        detect=model.detect,
        second=BoxHead(fcs=(16,), class_agnostic=True, box_weights=(20.0, 20.0, 10.0, 10.0)),
    ),
    losses=(*base.losses, First(), First(of=BoxRegression())),
    optimizer=replace(base.optimizer, phases=(Phase("heads", until=10), Phase("all"))),
)
