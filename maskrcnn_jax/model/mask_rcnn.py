"""Mask R-CNN: the paper's figure as a configuration, a module and one forward pass."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from maskrcnn_jax.distributed.sharding import per_image
from maskrcnn_jax.extension import Backbone, Head, Neck, Value
from maskrcnn_jax.messages.config_error import require, require_positive
from maskrcnn_jax.model import stages
from maskrcnn_jax.model.sampler import Inference, Sampler
from maskrcnn_jax.model.stages import DetectConfig
from maskrcnn_jax.nn.backbones.resnet import ResNet
from maskrcnn_jax.nn.feature_maps import require_maps
from maskrcnn_jax.nn.heads.box import BoxHead
from maskrcnn_jax.nn.heads.mask import MaskHead
from maskrcnn_jax.nn.heads.rpn import RPN
from maskrcnn_jax.nn.necks.fpn import FPN
from maskrcnn_jax.nn.norm import require_groups
from maskrcnn_jax.nn.padded_rois import apply_to_valid
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.anchors import pyramid_anchors
from maskrcnn_jax.ops.crop_and_resize import crop_and_resize
from maskrcnn_jax.ops.images import Images, ImageSizes, InputConfig, normalize, valid_regions
from maskrcnn_jax.ops.nms import nms
from maskrcnn_jax.ops.roi_align import PoolConfig, roi_align
from maskrcnn_jax.structs import (
    BoxOutput,
    Candidates,
    ClassCandidates,
    Detections,
    HeadOutput,
    Proposals,
    Rois,
    RPNOutput,
    Trace,
)

NO_CLASS = "N/A"
"""Name of an output that stands for no class, as torchvision's list of 91 has them."""


@dataclass(frozen=True)
class ModelConfig(Value):
    """The network: what its weights mean. A fork that changes the forward pass derives from it and from `MaskRCNN`."""

    num_classes: int = 80
    """Foreground classes `C`; background is one more logit."""
    class_names: tuple[str, ...] = ()
    """One name per foreground class, or empty."""
    input: InputConfig = InputConfig()
    backbone: Backbone = ResNet()
    fpn: Neck = FPN()
    rpn: RPN = RPN()
    pool: PoolConfig = PoolConfig()
    box_head: BoxHead = BoxHead()
    mask_head: MaskHead | None = MaskHead()
    """None makes a Faster R-CNN."""
    heads: tuple[Head, ...] = ()
    """Further heads, beside the mask head."""
    detect: DetectConfig = DetectConfig()
    inclusive_boxes: bool = False
    """A box ends on its last pixel, not after it: inside the network, so in a `Trace`, all boxes are a pixel less wide
    and tall (Matterport). Ground truth and the results of a `Predictor` are continuous all the same."""
    background_outputs: bool = False
    """Keep an unused box and mask output for background, as torchvision and Matterport do."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of convolutions and matrix products. Parameters, boxes and losses stay float32. GPUs and TPUs
    multiply float32 with fewer digits unless `JAX_DEFAULT_MATMUL_PRECISION=highest` is set."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per cell of each level of the pyramid, finest first."""
        return self.fpn.strides(self.backbone.strides)

    @property
    def level_names(self) -> tuple[str, ...]:
        """What the paper calls the levels: P2 has stride 2²."""
        return tuple(f"P{stride.bit_length() - 1}" for stride in self.strides)

    @property
    def roi_heads(self) -> dict[str, Head]:
        """The mask head, if there is one, and further heads by their names."""
        heads: tuple[Head, ...] = (*(() if self.mask_head is None else (self.mask_head,)), *self.heads)
        return {head.name: head for head in heads}

    def validate(self, where: str) -> None:
        """Checks the fields, and what the parts must agree in; see `Value.validate`."""
        require_positive(f"{where}.num_classes", self.num_classes)
        names, remedy = self.class_names, f"must be empty or name all {where}.num_classes = {self.num_classes}"
        require(len(names) in (0, self.num_classes), f"{where}.class_names", names, remedy)
        known = [name for name in names if name != NO_CLASS]
        require(len(set(known)) == len(known), f"{where}.class_names", names, "must not name a class twice")
        for part in ("input", "backbone", "fpn", "rpn", "pool", "box_head", "detect"):
            getattr(self, part).validate(f"{where}.{part}")
        if self.mask_head is not None:
            self.mask_head.validate(f"{where}.mask_head")
        if self.box_head.norm == "group":  # of convolutions with the channels of the pyramid
            require_groups(f"{where}.fpn.channels", self.fpn.channels)
        for head in self.heads:
            head.validate(f"{where}.heads.{head.name}")
        named = [head.name for head in self.heads]
        remedy = "must have names of their own, which are Python identifiers and not 'box' or 'mask'"
        fits = all(name.isidentifier() and name not in ("box", "mask") for name in named)
        require(fits and len(set(named)) == len(named), f"{where}.heads", named, remedy)
        self._validate_levels(where)

    def _validate_levels(self, where: str) -> None:
        sizes, levels = self.rpn.anchors.sizes, self.level_names
        remedy = f"must hold {len(levels)} sizes, for {', '.join(levels)}"
        require(len(sizes) == len(levels), f"{where}.rpn.anchors.sizes", sizes, remedy)
        coarsest, divisibility = max(self.backbone.strides), self.input.size_divisibility
        remedy = f"must be a multiple of {coarsest}, the coarsest stride of {where}.backbone"
        require(divisibility % coarsest == 0, f"{where}.input.size_divisibility", divisibility, remedy)
        pooled = levels[: self.fpn.roi_levels(self.backbone.strides)]
        remedy = f"must be a level that is pooled from: {', '.join(name[1:] for name in pooled)}"
        level = self.pool.canonical_level
        require(f"P{level}" in pooled, f"{where}.pool.canonical_level", level, remedy)

    def build(self, *, rngs: nnx.Rngs) -> "MaskRCNN":
        """Makes the network with fresh weights."""
        return MaskRCNN(self, rngs=rngs)


class Inputs(NamedTuple):
    """What the network computes with."""

    pixels: Float[Array, "b h w 3"]
    """Normalised images."""
    regions: Float[Array, "b 4"]
    """The part of each that the image covers, boxes as inside the network, pixels."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """(height, width) of the padded input, pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


class MaskRCNN(nnx.Module):
    """The parts of the figure, each replaceable by assignment.

    What has weights is a module, what has none a function: `model.mask_head = MyHead(...)`, `model.nms = my_nms`.
    A model without mask head (`config.mask_head is None`) is Faster R-CNN.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        dtype = jnp.dtype(config.dtype)
        of_rois = (config.fpn.channels, config.num_classes, config.num_classes + config.background_outputs)
        self.backbone = config.backbone.build(dtype=dtype, rngs=rngs)
        self.fpn = config.fpn.build(config.backbone.channels, dtype=dtype, rngs=rngs)
        self.rpn_head = config.rpn.build(config.fpn.channels, dtype=dtype, rngs=rngs)
        self.box_head = config.box_head.build(*of_rois, dtype=dtype, rngs=rngs)
        mask = config.mask_head
        self.mask_head: nnx.Module | None = nnx.data(
            None if mask is None else mask.build(*of_rois, dtype=dtype, rngs=rngs)
        )
        self.heads = nnx.Dict({head.name: head.build(*of_rois, dtype=dtype, rngs=rngs) for head in config.heads})
        self.nms = nms
        self.roi_align = {"roi_align": roi_align, "crop_and_resize": crop_and_resize}[config.pool.method]

    def __call__(self, images: Images, image_sizes: ImageSizes, sampler: Sampler | None = None) -> Trace:
        """Every step of Mask R-CNN, each of its tensors by name; see `forward`."""
        sampler = sampler or Inference()
        background = self.config.num_classes

        inputs = self.prepare(images, image_sizes)
        features = self.extract(inputs)
        rpn = self.score_anchors(features)
        anchors, level_counts = self.anchors(features, inputs)
        candidates, proposals = self.propose(rpn, anchors, level_counts, inputs, sampler)

        rois = sampler.box_rois(proposals, background)
        roi_features, roi_levels, box = self.classify(features, rois, inputs)
        pairs, detections = self.detect(box, rois, inputs)

        head_rois = sampler.head_rois(rois, detections, background)
        heads = {name: self.apply_head(name, features, head_rois, inputs) for name in self.config.roi_heads}
        detections = self.describe(detections, heads) if sampler.detects else detections

        return Trace(
            images=inputs.pixels,
            features=features,
            anchors=anchors,
            rpn=rpn,
            anchor_targets=sampler.anchor_targets(anchors, self.config.rpn.proposals.box_weights),
            candidates=candidates,
            proposals=proposals,
            rois=rois,
            roi_levels=roi_levels,
            roi_features=roi_features,
            box=box,
            pairs=pairs,
            detections=detections,
            heads=heads,
        )

    @jax.named_scope("features")
    def prepare(self, images: Images, image_sizes: ImageSizes) -> Inputs:
        """Normalises the images."""
        regions = valid_regions(image_sizes, (images.shape[1], images.shape[2]), self.config.input)
        pixels = normalize(images, regions, self.config.input)
        return Inputs(pixels, box_ops.shorten(regions, float(self.config.inclusive_boxes)))

    @jax.named_scope("features")
    def extract(self, inputs: Inputs) -> tuple[Float[Array, "b _h _w f"], ...]:
        """The levels of the pyramid."""
        config, shape = self.config, inputs.image_shape
        maps = self.backbone(inputs.pixels.astype(config.dtype))
        require_maps("model.backbone", maps, config.backbone.channels, config.backbone.strides, shape)
        levels = self.fpn(maps)
        require_maps("model.fpn", levels, [config.fpn.channels] * len(config.strides), config.strides, shape)
        return levels

    @jax.named_scope("proposals")
    def score_anchors(self, features: tuple[Float[Array, "b _h _w f"], ...]) -> RPNOutput:
        """Objectness and deltas of each anchor."""
        return RPNOutput(*self.rpn_head(features))

    def anchors(
        self, features: tuple[Float[Array, "b _h _w f"], ...], inputs: Inputs
    ) -> tuple[Float[Array, "a 4"], tuple[int, ...]]:
        """The anchors of all levels, and how many each has."""
        cells, config = [(level.shape[1], level.shape[2]) for level in features], self.config
        anchors, counts = pyramid_anchors(
            config.rpn.anchors, cells, config.strides, inputs.image_shape, config.inclusive_boxes
        )
        return jnp.asarray(anchors), counts  # constants, so that functions of one image may close over them

    @jax.named_scope("proposals")
    def propose(
        self,
        rpn: RPNOutput,
        anchors: Float[Array, "a 4"],
        level_counts: tuple[int, ...],
        inputs: Inputs,
        sampler: Sampler,
    ) -> tuple[Candidates, Proposals]:
        """The best anchors, and of those that remain after suppression the best of all levels."""
        config, regions = self.config.rpn.proposals, inputs.regions
        top_k, count = sampler.limits(config)
        if config.clip_to_canvas:
            height, width = inputs.image_shape
            canvas = box_ops.shorten(jnp.array([0.0, 0.0, width, height]), float(self.config.inclusive_boxes))
            regions = jnp.broadcast_to(canvas, regions.shape)
        select = partial(stages.select_candidates, level_counts=level_counts, top_k=top_k, config=config, nms=self.nms)
        candidates = per_image(lambda r, region: select(r, anchors, region))(rpn, regions)
        return candidates, sampler.proposals(per_image(lambda c: stages.select_proposals(c, count))(candidates))

    def pool(
        self, features: tuple[Float[Array, "b _h _w f"], ...], rois: Rois, head: Head, inputs: Inputs
    ) -> tuple[Float[Array, "b n p p f"], Array]:
        """Features `[b, n, p, p, f]` of each RoI for a head, and the level `[b, n]` that they come from."""
        strides = self.config.backbone.strides
        pool = partial(
            stages.pool,
            image_shape=inputs.image_shape,
            bins=head.pool_size,
            config=self.config.pool,
            roi_align=self.roi_align,
            finest=self.config.strides[0].bit_length() - 1,
        )
        return per_image(pool)(features[: self.config.fpn.roi_levels(strides)], rois.boxes)

    @jax.named_scope("box")
    def classify(
        self, features: tuple[Float[Array, "b _h _w f"], ...], rois: Rois, inputs: Inputs
    ) -> tuple[Float[Array, "b n p p f"], Array, BoxOutput]:
        """Features of each RoI, the level `[b, n]` that they come from, and its class and boxes.

        Raises:
            ConfigError: the box head has another number of outputs than the configuration says.
        """
        roi_features, levels = self.pool(features, rois, self.config.box_head, inputs)
        box = BoxOutput(*self.box_head(roi_features))
        self.config.box_head.check_output(box, self.config.num_classes)
        return roi_features, levels, box

    @jax.named_scope("detections")
    def detect(
        self, box: BoxOutput, rois: Rois, inputs: Inputs, head: BoxHead | None = None
    ) -> tuple[ClassCandidates, Detections]:
        """The best pairs of a RoI and a class, and of those that remain after suppression the best, without masks.

        `head` is the box head that the output is of, `config.box_head` by default.
        """
        select = partial(
            stages.select_class_candidates,
            box_weights=(head or self.config.box_head).box_weights,
            max_log_scale=self.config.rpn.proposals.max_log_scale,
            config=self.config.detect,
            nms=self.nms,
        )
        pairs = per_image(select)(rois, box, inputs.regions)
        return pairs, per_image(lambda p: stages.select_detections(p, self.config.detect.count))(pairs)

    def apply_head(
        self, name: str, features: tuple[Float[Array, "b _h _w f"], ...], rois: Rois, inputs: Inputs
    ) -> HeadOutput:
        """What the mask head, or a further head, predicts for the RoIs."""
        module: Any = self.mask_head if name == "mask" else self.heads[name]
        head = self.config.roi_heads[name]
        with jax.named_scope(name):
            roi_features, levels = self.pool(features, rois, head, inputs)
            output = apply_to_valid(module, roi_features, rois.valid)
            head.check_output(output, self.config.num_classes)
            return HeadOutput(rois, levels, roi_features, output)

    def describe(self, detections: Detections, heads: dict[str, HeadOutput]) -> Detections:
        """The detections with what the heads found out about them, such as their masks."""
        for name, output in heads.items():
            detections = self.config.roi_heads[name].detect(detections, output)
        return detections


def forward(model: MaskRCNN, images: Images, image_sizes: ImageSizes, *, proposals: Proposals | None = None) -> Trace:
    """Every step of Mask R-CNN in prediction, each of its tensors by name.

    Under `jit`, what is not read of the returned trace is never computed.

    Args:
        model: the network.
        images: `[b, H, W, 3]` RGB in `[0, 255]`, padded as `config.input` says (`fit` does it); sides are multiples of
            `config.input.size_divisibility`.
        image_sizes: `[b, 2]` `(height, width)` of the images inside the padding, pixels.
        proposals: boxes inside the images, to use in place of the region proposal network's: Fast R-CNN.

    Returns:
        Trace.

    Source: Mask R-CNN, figure 1 and section 3.
    """
    return model(images, image_sizes, Inference(proposals))


def predict(model: MaskRCNN, images: Images, image_sizes: ImageSizes) -> Detections:
    """The detections alone, in pixels of the network input; see `forward`."""
    return forward(model, images, image_sizes).detections
