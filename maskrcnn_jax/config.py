"""The numbers of an experiment: frozen dataclasses. `experiment.py` loads them, `validate.py` checks them.

Every field on which the known systems differ is a value here, so that each system is a configuration and a fork can
mix them. Instances are hashable, so they may be static arguments of a jitted function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

Norm = Literal["frozen_batch", "batch", "group", "none"]


class ConfigError(ValueError):
    """A configuration that cannot work; the message names the field, its value and the remedy."""


def require(condition: bool, where: str, value: object, remedy: str) -> None:
    """Raises ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{where} = {value!r}: {remedy}")


@dataclass(frozen=True)
class InputConfig:
    """What the network expects of an image."""

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted per RGB channel, on the 0–255 scale."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Divided by, per RGB channel."""
    bgr: bool = False
    """Reverse the channels after normalising (MSRA backbones of Detectron2)."""
    shortest_edge: int = 800
    """Test-time length of the shorter side, pixels."""
    longest_edge: int = 1333
    """The longer side never exceeds this, pixels."""
    buckets: tuple[tuple[int, int], ...] = ((832, 1344), (1344, 832))
    """Padded (height, width) of the network input: one compilation each. An image takes the smallest that holds it."""


@dataclass(frozen=True)
class BackboneConfig:
    """ResNet (He et al. 2016)."""

    depth: Literal[18, 34, 50, 101, 152] = 50
    width: int = 64
    """Channels of the stem; the stages have 1, 2, 4 and 8 times as many, times 4 in bottleneck nets."""
    norm: Norm = "frozen_batch"
    norm_eps: float = 1e-5
    stride_in_1x1: bool = False
    """Stride in the bottleneck's first 1×1 (MSRA, Detectron2 R50/R101) instead of its 3×3 (torchvision)."""


@dataclass(frozen=True)
class FPNConfig:
    """Feature pyramid (Lin et al. 2017): P2 … P5 by top-down merging, P6 by subsampling P5."""

    channels: int = 256
    norm: Norm = "none"


@dataclass(frozen=True)
class AnchorConfig:
    """Reference boxes of the region proposal network."""

    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    """Square root of the area, pixels, one per level P2 … P6."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width, in the order in which the head predicts them."""
    rounded: bool = False
    """Round the corners of the anchor at the origin to whole pixels (torchvision)."""
    offset: float = 0.0
    """Position of the anchor's centre in its cell, in strides: 0 is the corner (Detectron2, torchvision)."""


@dataclass(frozen=True)
class ProposalConfig:
    """From anchors to proposals. Training looks at more candidates than prediction does."""

    top_k: int = 1000
    """Candidates per level before suppression, in prediction."""
    count: int = 1000
    """Proposals per image after suppression, in prediction."""
    train_top_k: int = 2000
    train_count: int = 1000
    nms_iou: float = 0.7
    min_size: float = 0.0
    """Candidates with a side of at most this many pixels are dropped."""
    max_log_scale: float | None = 4.135166556742356
    """Cap of the encoded log width and height: log(1000 / 16). None for no cap (Matterport)."""
    box_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class RPNConfig:
    """Region proposal network (Faster R-CNN, section 3.1)."""

    convs: int = 1
    """3×3 convolutions before the two outputs."""
    anchors: AnchorConfig = AnchorConfig()
    proposals: ProposalConfig = ProposalConfig()


@dataclass(frozen=True)
class PoolConfig:
    """RoIAlign (Mask R-CNN, section 3) over the pyramid (FPN, equation 1)."""

    sampling_ratio: int = 2
    """Samples per bin and axis; 0 takes ⌈roi side / bins⌉, the data's choice (Detectron2)."""
    aligned: bool = True
    """Shift by half a pixel so that samples sit where pixel centres are (Detectron2); False is torchvision's."""
    canonical_size: float = 224.0
    """A roi of this side, pixels, goes to `canonical_level`."""
    canonical_level: int = 4
    level_eps: float = 1e-6
    """Added to the log2 before it is floored."""


@dataclass(frozen=True)
class BoxHeadConfig:
    """Classification and box regression of each roi."""

    pool_size: int = 7
    convs: int = 0
    """3×3 convolutions before the fully connected layers."""
    fcs: tuple[int, ...] = (1024, 1024)
    """Widths of the fully connected layers."""
    norm: Norm = "none"
    """Norm after each of the head's convolutions."""
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)


@dataclass(frozen=True)
class MaskHeadConfig:
    """A small FCN that predicts one mask per class (Mask R-CNN, figure 4 right)."""

    pool_size: int = 14
    convs: int = 4
    channels: int = 256
    norm: Norm = "none"


@dataclass(frozen=True)
class DetectConfig:
    """From box-head outputs to detections."""

    score_threshold: float = 0.05
    nms_iou: float = 0.5
    count: int = 100
    """Detections per image."""
    top_k: int = 2000
    """Best (roi, class) pairs that enter suppression. Exact while no more pairs than this pass the score threshold, or
    while `count` survive among them."""
    min_size: float = 0.0


@dataclass(frozen=True)
class ModelConfig:
    """The network: what its weights mean."""

    num_classes: int = 80
    """Foreground classes `C`; background is one more logit."""
    class_names: tuple[str, ...] = ()
    """One name per foreground class, or empty."""
    input: InputConfig = InputConfig()
    backbone: BackboneConfig = BackboneConfig()
    fpn: FPNConfig = FPNConfig()
    rpn: RPNConfig = RPNConfig()
    pool: PoolConfig = PoolConfig()
    box_head: BoxHeadConfig = BoxHeadConfig()
    mask_head: MaskHeadConfig | None = MaskHeadConfig()
    """None makes a Faster R-CNN."""
    detect: DetectConfig = DetectConfig()
    background_outputs: bool = False
    """Keep an unused box and mask output for background, as torchvision and Matterport do."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of convolutions and matrix products. Parameters, boxes and losses stay float32."""


@dataclass(frozen=True)
class MatchConfig:
    """Which boxes count as objects, which as background, and how many of them are looked at."""

    foreground_iou: float
    background_iou: float
    """Below this a box is background; between the two it is ignored."""
    low_quality: bool
    """Also take each object's best box, however bad."""
    count: int
    """Sampled boxes per image."""
    foreground_fraction: float
    """At most this share of them is foreground."""


@dataclass(frozen=True)
class LossConfig:
    """Targets and losses (Faster R-CNN, equation 1; Mask R-CNN, section 3)."""

    rpn_match: MatchConfig = MatchConfig(0.7, 0.3, True, 256, 0.5)
    box_match: MatchConfig = MatchConfig(0.5, 0.5, False, 512, 0.25)
    append_ground_truth: bool = True
    """Add the objects' own boxes to the proposals that are sampled from."""
    rpn_beta: float = 0.0
    """Where smooth-L1 turns from square to linear; 0 is plain L1 (Detectron2), torchvision has 1/9."""
    box_beta: float = 0.0
    rpn_normalizer: Literal["sampled", "count"] = "count"
    """Divide by the anchors sampled in the batch (torchvision) or by `rpn_match.count` × images (Detectron2)."""
    binary_mask_targets: bool = True
    """Round resampled masks to {0, 1} (Detectron2), or keep them soft (torchvision)."""
    mask_samples: int = 4
    """Samples per mask bin and axis when ground truth is resampled to the mask head's grid."""
    weights: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    """Of the RPN objectness, RPN box, class, box and mask losses."""


@dataclass(frozen=True)
class ShapesSource:
    """Endless synthetic pictures of squares, circles and triangles, drawn by index."""

    seed: int = 0
    image_size: int = 128
    """Side of the square picture, pixels."""
    first: int = 0
    """Index of the first picture: ranges that do not overlap share no picture."""
    count: int = 1_000_000
    """Number of pictures."""
    max_objects: int = 4


@dataclass(frozen=True)
class CocoSource:
    """A split of a prepared COCO-format data set: see `python -m maskrcnn_jax prepare`."""

    folder: Path = Path("data/coco")
    """The folder that `prepare` wrote."""
    split: str = "train"
    """Name of the split, with TFDS slices: "train", "val", "train[:8]"."""
    keep_empty: bool = False
    """Keep images that have no object."""


Source = ShapesSource | CocoSource


@dataclass(frozen=True)
class DataConfig:
    """Pictures, their augmentation and how they are batched."""

    train: Source = CocoSource()
    validation: Source = CocoSource(split="val", keep_empty=True)
    batch_size: int = 16
    """Images per step over all devices."""
    validation_batch_size: int = 8
    max_objects: int = 100
    """Ground-truth slots per image; of more, the largest are kept and a warning counts the rest."""
    mask_size: int = 112
    """Side `M` of the ground-truth mask crops."""
    shortest_edges: tuple[int, ...] = (800,)
    """Lengths of the shorter side to choose from at random (multi-scale), pixels."""
    longest_edge: int = 1333
    buckets: tuple[tuple[int, int], ...] = ((832, 1344), (1344, 832))
    """Padded (height, width) of training batches; images of one bucket are batched together."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    scale_jitter: tuple[float, float] | None = None
    """Large-scale jitter: resize by a random factor in this range relative to the (only) bucket, then crop to it."""
    color_jitter: float = 0.0
    """Strength of random brightness, contrast and saturation; 0.4 scales each by 0.6 … 1.4."""
    threads: int = 16
    """Threads that decode and augment."""
    max_broken: int = 10
    """Broken images that are skipped with a warning before the run stops."""


@dataclass(frozen=True)
class OptimizerConfig:
    """SGD with momentum or AdamW, a schedule, and who learns how fast."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.02
    momentum: float = 0.9
    """Of SGD; AdamW's first moment decay."""
    beta2: float = 0.999
    """AdamW's second moment decay."""
    weight_decay: float = 1e-4
    """Never applied to norms and biases."""
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[float, ...] = (60_000, 80_000)
    """Steps at which the learning rate falls to a tenth (schedule = step)."""
    warmup_steps: int = 1000
    warmup_start: float = 0.001
    """Share of the learning rate at step 0; it grows linearly to 1."""
    clip_norm: float | None = None
    """Upper bound of the global gradient norm."""
    groups: tuple[tuple[str, float], ...] = ()
    """(regular expression, factor) pairs, matched from the start of a parameter's dotted name; the first that matches
    scales its learning rate. With factor 0 the parameter is frozen and its backward pass is not computed."""
    ema_decay: float | None = None
    """Decay of the moving average of the weights; evaluation uses the average when it is on."""


@dataclass(frozen=True)
class RunConfig:
    """How long to train, and what to write when."""

    folder: Path = Path("runs/default")
    """Run folder; a run that finds its own checkpoints here continues."""
    steps: int = 90_000
    accumulate: int = 1
    """Micro-batches per step whose gradients are averaged."""
    log_every: int = 20
    evaluate_every: int = 5000
    """Evaluation interval in steps; 0 evaluates at the end only. The end is always evaluated."""
    save_every: int = 1000
    keep: int = 3
    """Latest checkpoints to keep, besides the best."""
    best: str = "segm/AP"
    """The metric that decides which checkpoint is the best."""
    seed: int = 0


def unchanged(model: Any) -> Any:
    """The model as configured."""
    return model


@dataclass(frozen=True)
class Config:
    """One experiment."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    run: RunConfig = RunConfig()
    customize: tyro.conf.Suppress[Callable[[Any], Any]] = field(default=unchanged)
    """Called with the built model, returns the model to train: the place where a fork replaces a stage."""
