"""Matching: which boxes stand for which objects."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.messages.config_error import require, require_fraction, require_positive


@dataclass(frozen=True)
class MatchConfig:
    """Which boxes count as objects, which as background, and how many of them are sampled."""

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

    @property
    def foreground_count(self) -> int:
        """Sampled boxes per image that are foreground, at most."""
        return int(self.count * self.foreground_fraction)

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        require_fraction(f"{where}.foreground_iou", self.foreground_iou)
        require_fraction(f"{where}.background_iou", self.background_iou)
        ordered = self.background_iou <= self.foreground_iou
        remedy = f"must not exceed {where}.foreground_iou = {self.foreground_iou}"
        require(ordered, f"{where}.background_iou", self.background_iou, remedy)
        require_positive(f"{where}.count", self.count)
        require_fraction(f"{where}.foreground_fraction", self.foreground_fraction)
        if self.crowd_iou is not None:
            require_fraction(f"{where}.crowd_iou", self.crowd_iou)


class Assignment(IntEnum):
    """What a box counts as."""

    IGNORE = -1
    NEGATIVE = 0
    POSITIVE = 1


class Matches(NamedTuple):
    """The object that each box is compared with, and what the box counts as."""

    index: Int[Array, " n"]  # type: ignore[assignment]  # hides tuple.index, which has no use here
    """Ground-truth slot of the highest overlap, the first of equals; 0 where no slot is usable."""
    assignment: Int[Array, " n"]
    """An `Assignment` each."""
    iou: Float[Array, " n"]
    """The highest overlap, 0 where no slot is usable."""


def match(
    iou: Float[Array, "g n"],
    usable: Bool[Array, " g"],
    foreground_iou: float,
    background_iou: float,
    low_quality: bool,
    crowd: Bool[Array, " g"],
    crowd_iou: float | None,
) -> Matches:
    """Assigns each box to the object that it overlaps most.

    Args:
        iou: overlap of each ground-truth slot with each box.
        usable: slots that hold an object to be found; padding and crowds are False.
        foreground_iou: a box with at least this overlap is positive.
        background_iou: a box with less is negative; between the two it is ignored.
        low_quality: also make positive the boxes that an object overlaps most (all of equals), however little. Such a
            box keeps its own best object as `index`.
        crowd: slots that hold a crowd.
        crowd_iou: a negative box with at least this overlap with a crowd is ignored instead; None for no such rule.

    Returns:
        Matches. Without usable slots every box is negative.

    Source: Faster R-CNN, section 3.1.2; numbers of Detectron2 and torchvision `Matcher`, of crowds Matterport's.
    Deviation: an object that no box overlaps at all makes nothing positive (there it makes positive every box without
    overlap).
    """
    crowded = jnp.zeros(iou.shape[1], bool)
    if crowd_iou is not None:
        crowded = jnp.any(crowd[:, None] & (iou >= crowd_iou), axis=0)
    # Below every overlap, so that a slot that is not usable is never the best, not even of a box that overlaps nothing.
    iou = jnp.where(usable[:, None], iou, -1.0)
    best = jnp.maximum(jnp.max(iou, axis=0), 0.0)
    positive = (best >= foreground_iou) & jnp.any(usable)
    if low_quality:
        best_of_object = jnp.max(iou, axis=1, keepdims=True)
        positive |= jnp.any((iou == best_of_object) & (best_of_object > 0), axis=0)
    assignment = jnp.where((best < background_iou) & ~crowded, Assignment.NEGATIVE, Assignment.IGNORE)
    assignment = jnp.where(positive, Assignment.POSITIVE, assignment)
    return Matches(jnp.argmax(iou, axis=0).astype(jnp.int32), assignment.astype(jnp.int32), best)
