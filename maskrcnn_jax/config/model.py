"""What the network is and what its weights mean: every number on which the known systems differ."""

from dataclasses import dataclass
from typing import Literal

Norm = Literal["frozen_batch", "batch", "group", "none"]
Interpolation = Literal["rounded", "exact", "antialiased", "truncated"]
PasteRule = Literal["exact", "outward", "rounded"]


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
    enlarge_only: bool = False
    """A shorter side above `shortest_edge` stays; only `longest_edge` makes a picture smaller (Matterport)."""
    floor_size: bool = False
    """Drop the fractions of the resized sides (torchvision) instead of rounding to the nearest pixel."""
    interpolation: Interpolation = "rounded"
    """How pixels are resized: bilinear and rounded to whole values; kept as floats (torchvision); with a triangle
    filter as wide as the reduction (Pillow, so Detectron2); or cut to whole values (Matterport). Training rounds."""
    centered: bool = False
    """Pad on all sides alike (Matterport) instead of at the right and bottom."""
    black_padding: bool = False
    """Pad before normalising (Matterport): the padding is black instead of the mean colour."""
    buckets: tuple[tuple[int, int], ...] = ((832, 1344), (1344, 832))
    """Padded (height, width) of the network input: one compilation each. An image takes the smallest that holds it.
    Without any, each image is padded to the next multiples of 32: the numbers of the reference systems on one image,
    at the price of a compilation per size."""


@dataclass(frozen=True)
class BackboneConfig:
    """ResNet (He et al. 2016)."""

    depth: Literal[18, 34, 50, 101, 152] = 50
    width: int = 64
    """Channels of the stem; the stages have 1, 2, 4 and 8 times as many, times 4 in bottleneck nets."""
    norm: Norm = "frozen_batch"
    norm_eps: float = 1e-5
    """Added to variances; 0 for the published torchvision v1 weights, 1e-3 for Matterport's."""
    inner_width: int | None = None
    """Channels inside the first stage's bottlenecks, doubled from stage to stage; `width` if None. 256 with 32 groups
    is ResNeXt 32×8d."""
    groups: int = 1
    """Groups of the bottlenecks' 3×3 convolutions."""
    stride_in_1x1: bool = False
    """Stride in the bottleneck's first 1×1 (MSRA, Detectron2 R50/R101) instead of its 3×3 (torchvision)."""
    pool_after: bool = False
    """Pad the stem's pooling by one cell after and none before, as TensorFlow's SAME on even sides (Matterport)."""


@dataclass(frozen=True)
class FPNConfig:
    """Feature pyramid (Lin et al. 2017): P2 … P5 by top-down merging, P6 by subsampling P5."""

    channels: int = 256
    norm: Norm = "none"
    norm_eps: float = 1e-5
    p6: Literal["subsample", "conv"] = "subsample"
    """Every second cell of P5, or a 3×3 convolution at stride 2 (TensorFlow Model Garden)."""


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
    floor_stride: bool = False
    """Cells are ⌊image side / cells⌋ pixels apart (torchvision), not 4, 8, …: it matters on P6 of odd P5."""


@dataclass(frozen=True)
class ProposalConfig:
    """From anchors to proposals. Training looks at more candidates than prediction does."""

    top_k: int = 1000
    """Candidates per level before suppression, in prediction."""
    count: int = 1000
    """Proposals per image after suppression, in prediction."""
    train_top_k: int = 2000
    train_count: int = 1000
    joint: bool = False
    """Rank and suppress all levels together (Matterport): `top_k` is then for all of them."""
    nms_iou: float = 0.7
    min_size: float | None = 0.0
    """Candidates with a side of at most this many pixels are dropped; none if None (Matterport)."""
    clip_to_canvas: bool = False
    """Candidates may reach into the padding (Matterport); False clips them to the picture."""
    max_log_scale: float | None = 4.135166556742356
    """Cap of the encoded log width and height: log(1000 / 16). None for no cap (Matterport)."""
    box_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class RPNConfig:
    """Region proposal network (Faster R-CNN, section 3.1)."""

    convs: int = 1
    """3×3 convolutions before the two outputs."""
    channels: int | None = None
    """Of those convolutions; as many as the pyramid has if None."""
    anchors: AnchorConfig = AnchorConfig()
    proposals: ProposalConfig = ProposalConfig()


@dataclass(frozen=True)
class PoolConfig:
    """RoIAlign (Mask R-CNN, section 3) over the pyramid (FPN, equation 1)."""

    method: Literal["roi_align", "crop_and_resize"] = "roi_align"
    """`crop_and_resize` (Matterport) takes one sample per cell, the outer ones on the box's corners, and of the other
    fields here reads only the canonical ones and `level_eps`."""
    sampling_ratio: int = 2
    """Samples per bin and axis; 0 takes ⌈roi side / bins⌉, the data's choice (Detectron2)."""
    aligned: bool = True
    """Shift by half a pixel so that samples sit where pixel centres are (Detectron2); False is torchvision's."""
    canonical_size: float = 224.0
    """A roi of this side, pixels, goes to `canonical_level`."""
    canonical_level: int = 4
    level_eps: float = 1e-6
    """Added to the log2 before it is floored: 0.5 takes the nearest level (Matterport)."""


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
    fc_norm: Norm = "none"
    """Norm after each of the fully connected layers (Matterport)."""
    norm_eps: float = 1e-5
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)


@dataclass(frozen=True)
class MaskHeadConfig:
    """A small FCN that predicts one mask per class (Mask R-CNN, figure 4 right)."""

    pool_size: int = 14
    convs: int = 4
    channels: int = 256
    norm: Norm = "none"
    norm_eps: float = 1e-5
    paste: PasteRule = "exact"
    """Where a mask lies in the picture: exactly on its box (Detectron2); its box grown by one mask cell and cut to
    whole pixels (torchvision); or its box rounded to whole pixels (Matterport)."""


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
    best_class_only: bool = False
    """Look at each roi's most likely class alone, and at the roi only if that is not background (Matterport)."""
    min_size: float | None = 0.0
    """Boxes with a side of at most this many pixels are dropped; none if None (Matterport)."""


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
    inclusive_boxes: bool = False
    """A box ends on its last pixel, not after it: inside the network, so in a `Trace`, all boxes are a pixel less wide
    and tall (Matterport). Ground truth and the results of a `Predictor` are continuous all the same."""
    background_outputs: bool = False
    """Keep an unused box and mask output for background, as torchvision and Matterport do."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of convolutions and matrix products. Parameters, boxes and losses stay float32. GPUs and TPUs
    multiply float32 with fewer digits unless `JAX_DEFAULT_MATMUL_PRECISION=highest` is set."""
