"""Mask R-CNN: the paper's figure as a module and one forward pass."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from maskrcnn_jax.config import AnchorConfig, InputConfig, ModelConfig
from maskrcnn_jax.distributed.sharding import per_image
from maskrcnn_jax.model import stages
from maskrcnn_jax.nn.backbones.resnet import ResNet
from maskrcnn_jax.nn.heads.box import BoxHead
from maskrcnn_jax.nn.heads.mask import MaskHead
from maskrcnn_jax.nn.heads.rpn import RPNHead
from maskrcnn_jax.nn.necks.fpn import FPN
from maskrcnn_jax.nn.padded_rois import apply_to_valid
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.anchors import cell_anchors, grid_anchors
from maskrcnn_jax.ops.crop_and_resize import crop_and_resize
from maskrcnn_jax.ops.nms import nms
from maskrcnn_jax.ops.roi_align import roi_align
from maskrcnn_jax.structs import BoxOutput, Detections, Proposals, Rois, RPNOutput, Trace

Images = Float[Array | np.ndarray, "b h w 3"] | UInt8[Array | np.ndarray, "b h w 3"]
ImageSizes = Float[Array | np.ndarray, "b 2"]


class MaskRCNN(nnx.Module):
    """The parts of the figure, each replaceable by assignment.

    What has weights is a module, what has none a function: `model.mask_head = MyHead(...)`, `model.nms = my_nms`.
    A model without mask head (`config.mask_head is None`) is Faster R-CNN.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        dtype = jnp.dtype(config.dtype)
        backbone, fpn, rpn, classes = config.backbone, config.fpn, config.rpn, config.num_classes
        outputs = classes + config.background_outputs
        self.config = config
        self.backbone = ResNet(
            backbone.depth,
            backbone.width,
            inner_width=backbone.inner_width,
            groups=backbone.groups,
            stride_in_1x1=backbone.stride_in_1x1,
            pool_after=backbone.pool_after,
            norm=backbone.norm,
            eps=backbone.norm_eps,
            dtype=dtype,
            rngs=rngs,
        )
        self.fpn = FPN(
            self.backbone.channels, fpn.channels, p6=fpn.p6, norm=fpn.norm, eps=fpn.norm_eps, dtype=dtype, rngs=rngs
        )
        self.rpn_head = RPNHead(
            fpn.channels,
            rpn.channels or fpn.channels,
            len(rpn.anchors.aspect_ratios),
            rpn.convs,
            dtype=dtype,
            rngs=rngs,
        )
        box, mask = config.box_head, config.mask_head
        self.box_head = BoxHead(
            fpn.channels,
            box.pool_size,
            box.convs,
            box.fcs,
            classes + 1,
            outputs,
            norm=box.norm,
            fc_norm=box.fc_norm,
            eps=box.norm_eps,
            dtype=dtype,
            rngs=rngs,
        )
        self.mask_head: MaskHead | None = nnx.data(
            None
            if mask is None
            else MaskHead(
                fpn.channels,
                mask.channels,
                mask.convs,
                outputs,
                norm=mask.norm,
                eps=mask.norm_eps,
                dtype=dtype,
                rngs=rngs,
            )
        )
        self.nms = nms
        self.roi_align = {"roi_align": roi_align, "crop_and_resize": crop_and_resize}[config.pool.method]


def valid_regions(image_sizes: ImageSizes, image_shape: tuple[int, int], config: InputConfig) -> Float[Array, "b 4"]:
    """The part of each padded input that is picture, a box in pixels."""
    sizes = jnp.asarray(image_sizes, jnp.float32)
    slack = jnp.asarray(image_shape, jnp.float32)[None] - sizes
    corner = jnp.floor(slack / 2) if config.centered else jnp.zeros_like(slack)
    return jnp.concatenate([corner[:, ::-1], (corner + sizes)[:, ::-1]], axis=1)


def normalize(images: Images, windows: Float[Array, "b 4"], config: InputConfig) -> Float[Array, "b h w 3"]:
    """RGB in `[0, 255]` to the network's input; outside the windows zero, or black with `config.black_padding`."""
    _, height, width, _ = images.shape
    mean, std = (jnp.asarray(v).reshape(1, 1, 1, 3) for v in (config.mean, config.std))
    x0, y0, x1, y1 = (edge[:, None] for edge in windows.T)
    y, x = jnp.arange(height)[None, :], jnp.arange(width)[None, :]
    picture = (((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None, :])[..., None]
    pixels = (images.astype(jnp.float32) - mean) / std
    pixels = jnp.where(picture, pixels, -mean / std if config.black_padding else 0.0)
    return pixels[..., ::-1] if config.bgr else pixels


def pyramid_anchors(
    config: AnchorConfig,
    features: Sequence[Float[Array, "b _h _w f"]],
    image_shape: tuple[int, int],
    inclusive: bool,
) -> tuple[Float[Array, "a 4"], tuple[int, ...]]:
    """Anchors of P2, P3, …, whose strides are 4, 8, …, and how many each level has.

    With `config.floor_stride` a stride is `⌊side of the padded input / cells⌋`. Inclusive anchors end on their last
    pixel.
    """
    levels = []
    for i, (size, level) in enumerate(zip(config.sizes, features, strict=True)):
        cell = cell_anchors(size, config.aspect_ratios, config.rounded)
        _, height, width, _ = level.shape
        nominal = (4.0 * 2**i, 4.0 * 2**i)
        floored = (float(image_shape[0] // height), float(image_shape[1] // width))
        levels.append(grid_anchors(cell, height, width, floored if config.floor_stride else nominal, config.offset))
    # Constants, so that functions of one image may close over them.
    anchors = np.concatenate(levels) - np.array([0, 0, inclusive, inclusive], np.float32)
    return jnp.asarray(anchors), tuple(len(level) for level in levels)


def every_proposal(proposals: Proposals, background: int) -> Rois:
    """All proposals as rois that nobody matched: what the box head looks at in prediction."""
    labels = jnp.full(proposals.valid.shape, background, jnp.int32)
    return Rois(proposals.boxes, proposals.valid, labels, jnp.zeros_like(labels))


def every_detection(detections: Detections) -> Rois:
    """The detections as rois: what the mask head looks at in prediction."""
    nobody = jnp.zeros_like(detections.labels)
    return Rois(detections.boxes, detections.valid, detections.labels, nobody)


def forward(
    model: MaskRCNN,
    images: Images,
    image_sizes: ImageSizes,
    *,
    choose_rois: Callable[[Proposals], Rois] | None = None,
    choose_mask_rois: Callable[[Rois], Rois] | None = None,
    limits: tuple[int, int] | None = None,
    proposals: Proposals | None = None,
) -> Trace:
    """Every step of Mask R-CNN, each of its tensors by name.

    Under `jit`, what nobody reads of the returned trace is never computed.

    Args:
        model: the network.
        images: `[b, H, W, 3]` RGB in `[0, 255]`, padded as `config.input` says (`fit` does it); sides are multiples of
            32.
        image_sizes: `[b, 2]` `(height, width)` of the pictures inside the padding, pixels.
        choose_rois: which boxes go to the box head: all proposals if None; training samples some.
        choose_mask_rois: which boxes go to the mask head: the detections if None; training picks the foreground of the
            rois.
        limits: candidates per level and proposals per image; the model's prediction numbers if None.
        proposals: boxes inside the pictures, to use in place of the region proposal network's: Fast R-CNN.

    Returns:
        Trace.

    Source: Mask R-CNN, figure 1 and section 3.
    """
    config, image_shape = model.config, (images.shape[1], images.shape[2])
    top_k, count = limits or (config.rpn.proposals.top_k, config.rpn.proposals.count)
    shorten = partial(box_ops.shorten, by=float(config.inclusive_boxes))
    windows = valid_regions(image_sizes, image_shape, config.input)

    with jax.named_scope("features"):
        pixels = normalize(images, windows, config.input)
        features = model.fpn(model.backbone(pixels.astype(config.dtype)))

    with jax.named_scope("proposals"):
        rpn = RPNOutput(*model.rpn_head(features))
        anchors, level_counts = pyramid_anchors(config.rpn.anchors, features, image_shape, config.inclusive_boxes)
        pictures = shorten(windows)
        propose = partial(stages.select_candidates, level_counts=level_counts, top_k=top_k, nms=model.nms)
        canvas = shorten(jnp.array([0.0, 0.0, image_shape[1], image_shape[0]]))
        regions = jnp.broadcast_to(canvas, windows.shape) if config.rpn.proposals.clip_to_canvas else pictures
        candidates = per_image(lambda r, w: propose(r, anchors, w, config=config.rpn.proposals))(rpn, regions)
        if proposals is None:
            proposals = per_image(lambda c: stages.select_proposals(c, count))(candidates)

    pool = partial(stages.pool, image_shape=image_shape, config=config.pool, roi_align=model.roi_align)
    with jax.named_scope("box"):
        rois = choose_rois(proposals) if choose_rois else every_proposal(proposals, background=config.num_classes)
        roi_features, roi_levels = per_image(partial(pool, bins=config.box_head.pool_size))(features[:4], rois.boxes)
        logits, deltas = model.box_head(roi_features)
        box = BoxOutput(logits, deltas[:, :, : config.num_classes])

    with jax.named_scope("detections"):
        select_class_candidates = partial(
            stages.select_class_candidates,
            box_weights=config.box_head.box_weights,
            max_log_scale=config.rpn.proposals.max_log_scale,
            config=config.detect,
            nms=model.nms,
        )
        pairs = per_image(select_class_candidates)(rois, box, pictures)
        detections = per_image(lambda p: stages.select_detections(p, config.detect.count))(pairs)

    mask_rois = mask_features = mask_logits = None
    if model.mask_head is not None:
        assert config.mask_head is not None, "config.mask_head is None: a mask head takes its pool size from there"
        with jax.named_scope("masks"):
            mask_rois = choose_mask_rois(rois) if choose_mask_rois else every_detection(detections)
            mask_features, _ = per_image(partial(pool, bins=config.mask_head.pool_size))(features[:4], mask_rois.boxes)
            mask_logits = apply_to_valid(model.mask_head, mask_features, mask_rois.valid)[..., : config.num_classes]
            if choose_mask_rois is None:
                detections = detections._replace(masks=per_image(stages.segment)(mask_logits, mask_rois.labels))

    return Trace(
        images=pixels,
        features=features,
        anchors=anchors,
        rpn=rpn,
        candidates=candidates,
        proposals=proposals,
        rois=rois,
        roi_levels=roi_levels,
        roi_features=roi_features,
        box=box,
        pairs=pairs,
        detections=detections,
        mask_rois=mask_rois,
        mask_features=mask_features,
        mask_logits=mask_logits,
    )


def predict(model: MaskRCNN, images: Images, image_sizes: ImageSizes) -> Detections:
    """The detections alone, in pixels of the network input; see `forward`."""
    return forward(model, images, image_sizes).detections
