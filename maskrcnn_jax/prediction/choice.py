"""Which of a model's detections are wanted: numbers that replace those of its configuration."""

from dataclasses import replace

from flax import nnx

from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.merge_tiles import MIN_SCORE_RATIO

USUAL = 0.5
"""The least score if none is asked for and the model's own threshold is not higher."""


def choose(
    model: MaskRCNN,
    min_score: float | None = None,
    *,
    nms_iou: float | None = None,
    count: int | None = None,
    tile: bool = False,
) -> tuple[MaskRCNN, float]:
    """A model that finds what is asked for, and the least score of what is to be kept of it.

    The model's own score threshold is lowered where it would hide what is asked for, never raised: less sure objects
    suppress no surer ones, so they are left out afterwards.

    Args:
        model: It stays as it is; the new one has the same weights.
        min_score: The least score, in [0, 1]; if None 0.5, or the model's own threshold where that is higher.
        nms_iou: In place of the model's `detect.nms_iou`, in [0, 1].
        count: In place of the model's `detect.count`, at least 1. `detect.top_k` is raised with it.
        tile: Whether images are looked at in tiles, where less sure objects confirm others.

    Raises:
        ValueError: The least score is none.
        ConfigError: One of the other numbers cannot work.
    """
    own = model.config.detect
    if min_score is None:
        min_score = max(USUAL, own.score_threshold)
    require_score(min_score)
    detect = replace(
        own,
        score_threshold=min(own.score_threshold, min_score * (MIN_SCORE_RATIO if tile else 1.0)),
        nms_iou=own.nms_iou if nms_iou is None else nms_iou,
        count=own.count if count is None else count,
        top_k=own.top_k if count is None else max(own.top_k, count),
    )
    detect.validate("model.detect")
    chosen = nnx.clone(model)
    chosen.config = replace(model.config, detect=detect)
    return chosen, min_score


def require_score(min_score: float) -> None:
    """Raises ValueError if a least score is none."""
    if not 0 <= min_score <= 1:
        raise ValueError(f"min_score = {min_score}: scores lie between 0 and 1; give one of these, such as 0.5")
