"""What the network should say, and what a wrong answer costs."""

from dataclasses import dataclass
from typing import Literal


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
    crowd_iou: float | None = None
    """A box that overlaps a crowd at least this much is no background but ignored (Matterport 0.001); None if crowds
    do not matter (Detectron2, torchvision)."""


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
    """Divide objectness by the anchors sampled in the batch (torchvision), or by `rpn_match.count` × images
    (Detectron2)."""
    box_normalizer: Literal["sampled", "positive"] = "sampled"
    """Divide both box losses by what their class loss is divided by (Detectron2, torchvision), or by the number of
    positive boxes times four coordinates (Matterport)."""
    binary_mask_targets: bool = True
    """Round resampled masks to {0, 1} (Detectron2), or keep them soft (torchvision)."""
    mask_samples: int = 4
    """Samples per mask bin and axis when ground truth is resampled to the mask head's grid; 0 takes ⌈roi side / bins⌉
    in pixels (torchvision)."""
    mask_aligned: bool = True
    """Resample ground truth where the roi is; False is half a pixel further right and down (torchvision, whose pixel
    centres are whole numbers there)."""
    weights: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    """Of the RPN objectness, RPN box, class, box and mask losses."""
