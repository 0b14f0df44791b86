"""The five losses of Mask R-CNN, and how each is normalised over the batch."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from maskrcnn_jax.distributed.sharding import per_image
from maskrcnn_jax.extension import Loss
from maskrcnn_jax.messages.config_error import require_not_negative
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.heads.mask import own_class
from maskrcnn_jax.structs import AnchorTargets, Batch, Trace
from maskrcnn_jax.training.targets import box_targets, mask_targets


def smooth_l1(error: Float[Array, "*n"], beta: float) -> Float[Array, "*n"]:
    """Element-wise `|e|`, with the corner at zero rounded: `e² / 2β` below `β` and `|e| − β/2` above.

    Source: Fast R-CNN, equation 3, where β is 1; β = 0 is plain L1.
    """
    size = jnp.abs(error)
    if beta == 0:
        return size
    return jnp.where(size < beta, 0.5 * size**2 / beta, size - 0.5 * beta)


def masked_mean(values: Array, where: Array, total: Array | float) -> Array:
    """Sum of the chosen values over a total; exactly 0, with zero gradient, if nothing is chosen."""
    return jnp.sum(jnp.where(where, values, 0.0)) / jnp.maximum(total, 1.0)


@dataclass(frozen=True)
class RPNObjectness(Loss):
    """Binary cross-entropy of the objectness of the sampled anchors.

    Source: Faster R-CNN, equation 1; normalisers of torchvision ("sampled") and Detectron2 ("count").
    """

    normalizer: Literal["sampled", "count"] = "count"
    """Divide by the anchors sampled in the batch (torchvision), or by `sampling.anchors.count` × images
    (Detectron2)."""

    name: ClassVar = "rpn_objectness"

    @jax.named_scope("losses")
    def __call__(self, model: MaskRCNN, trace: Trace, batch: Batch, key: jax.Array) -> Array:
        """See `Loss`."""
        anchors = _sampled(trace)
        logits = jnp.take_along_axis(trace.rpn.logits, anchors.index, axis=1)
        loss = optax.sigmoid_binary_cross_entropy(logits, anchors.positive.astype(jnp.float32))
        return masked_mean(loss, anchors.valid, _anchor_total(anchors, self.normalizer))


@dataclass(frozen=True)
class RPNBox(Loss):
    """Smooth L1 of the deltas of the positive anchors.

    Source: Faster R-CNN, equation 1; normalisers of torchvision ("sampled"), Detectron2 ("count") and Matterport
    ("positive").
    """

    beta: float = 0.0
    """Where smooth-L1 turns from square to linear; 0 is plain L1 (Detectron2), torchvision has 1/9."""
    normalizer: Literal["sampled", "count", "positive"] = "count"
    """As `RPNObjectness.normalizer`; or divide by the positive anchors times four coordinates (Matterport)."""

    name: ClassVar = "rpn_box"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_not_negative(f"{where}.beta", self.beta)

    @jax.named_scope("losses")
    def __call__(self, model: MaskRCNN, trace: Trace, batch: Batch, key: jax.Array) -> Array:
        """See `Loss`."""
        anchors = _sampled(trace)
        deltas = jnp.take_along_axis(trace.rpn.deltas, anchors.index[..., None], axis=1)
        loss = smooth_l1(deltas - anchors.deltas, self.beta).sum(axis=-1)
        positive = anchors.positive & anchors.valid
        if self.normalizer == "positive":
            return masked_mean(loss, positive, 4 * jnp.sum(positive))
        return masked_mean(loss, positive, _anchor_total(anchors, self.normalizer))


@dataclass(frozen=True)
class Classification(Loss):
    """Cross-entropy over the classes, mean over the sampled RoIs of the batch.

    Source: Fast R-CNN, equation 1.
    """

    name: ClassVar = "classification"

    @jax.named_scope("losses")
    def __call__(self, model: MaskRCNN, trace: Trace, batch: Batch, key: jax.Array) -> Array:
        """See `Loss`."""
        rois = trace.rois
        loss = optax.softmax_cross_entropy_with_integer_labels(trace.box.logits, rois.labels)
        return masked_mean(loss, rois.valid, jnp.sum(rois.valid))


@dataclass(frozen=True)
class BoxRegression(Loss):
    """Smooth L1 of the foreground RoIs' deltas of their own class.

    Source: Fast R-CNN, equation 1; normalisers of Detectron2 and torchvision ("sampled"), and Matterport
    ("positive").
    """

    beta: float = 0.0
    """Where smooth-L1 turns from square to linear; 0 is plain L1."""
    normalizer: Literal["sampled", "positive"] = "sampled"
    """Divide by the sampled RoIs of the batch, or by the foreground RoIs times four coordinates."""

    name: ClassVar = "box"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_not_negative(f"{where}.beta", self.beta)

    def __call__(self, model: MaskRCNN, trace: Trace, batch: Batch, key: jax.Array) -> Array:
        """See `Loss`."""
        rois, weights = trace.rois, model.config.box_head.box_weights
        with jax.named_scope("targets"):
            wanted = per_image(partial(box_targets, box_weights=weights))(rois, batch.ground_truth)
        with jax.named_scope("losses"):
            foreground = rois.valid & (rois.labels < model.config.num_classes)
            own = own_class(jnp.moveaxis(trace.box.deltas, 2, -1), jnp.where(foreground, rois.labels, 0))
            loss = smooth_l1(own - wanted, self.beta).sum(axis=-1)
            total = 4 * jnp.sum(foreground) if self.normalizer == "positive" else jnp.sum(rois.valid)
            return masked_mean(loss, foreground, total)


@dataclass(frozen=True)
class Mask(Loss):
    """Binary cross-entropy of each foreground RoI's mask of its own class, mean over RoIs and pixels.

    0 in a model without mask head.

    Source: Mask R-CNN, section 3.
    """

    binary_targets: bool = True
    """Round resampled masks to {0, 1} (Detectron2), or keep them soft (torchvision)."""
    samples: int = 4
    """Samples per mask bin and axis when ground truth is resampled to the mask head's grid; 0 takes ⌈roi side / bins⌉
    in pixels (torchvision)."""
    aligned: bool = True
    """Resample ground truth where the roi is; False is half a pixel further right and down (torchvision, whose pixel
    centres are whole numbers there)."""

    name: ClassVar = "mask"

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_not_negative(f"{where}.samples", self.samples)

    def targets(self, trace: Trace, batch: Batch) -> Float[Array, "b r m m"]:
        """What each RoI's matched object covers of it, on the grid of the mask head's output."""
        mask = trace.heads["mask"]
        sample = partial(
            mask_targets,
            size=mask.output.shape[2],
            samples=self.samples,
            aligned=self.aligned,
            binary=self.binary_targets,
        )
        with jax.named_scope("targets"):
            return per_image(sample)(mask.rois, batch.ground_truth)

    def __call__(self, model: MaskRCNN, trace: Trace, batch: Batch, key: jax.Array) -> Array:
        """See `Loss`."""
        if "mask" not in trace.heads:
            return jnp.zeros(())
        mask, wanted = trace.heads["mask"], self.targets(trace, batch)
        with jax.named_scope("losses"):
            foreground = mask.rois.valid & (mask.rois.labels < model.config.num_classes)
            own = own_class(mask.output, jnp.where(foreground, mask.rois.labels, 0))
            loss = jnp.mean(optax.sigmoid_binary_cross_entropy(own, wanted), axis=(-2, -1))
            return masked_mean(loss, foreground, jnp.sum(foreground))


LOSSES: tuple[Loss, ...] = (RPNObjectness(), RPNBox(), Classification(), BoxRegression(), Mask())
"""Those of Mask R-CNN with Detectron2's numbers, each of weight 1."""


def _sampled(trace: Trace) -> AnchorTargets:
    if trace.anchor_targets is None:
        raise ValueError("trace.anchor_targets is None: losses need the forward pass of training")
    return trace.anchor_targets


def _anchor_total(anchors: AnchorTargets, normalizer: Literal["sampled", "count"] | str) -> Array | float:
    return jnp.sum(anchors.valid) if normalizer == "sampled" else float(anchors.valid.size)
