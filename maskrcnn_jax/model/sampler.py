"""Which boxes go to the heads: all that prediction and training differ in."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.distributed.sharding import per_image
from maskrcnn_jax.messages.config_error import require
from maskrcnn_jax.model import stages
from maskrcnn_jax.nn.heads.rpn import ProposalConfig
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.matching import MatchConfig
from maskrcnn_jax.structs import AnchorTargets, Detections, GroundTruth, Proposals, Rois


@dataclass(frozen=True)
class SamplingConfig:
    """Which anchors and RoIs the losses look at (Faster R-CNN, section 3.1.2–3; Fast R-CNN, section 2.3)."""

    anchors: MatchConfig = MatchConfig(0.7, 0.3, True, 256, 0.5)
    rois: MatchConfig = MatchConfig(0.5, 0.5, False, 512, 0.25)
    append_ground_truth: bool = True
    """Add the objects' own boxes to the proposals that are sampled from."""

    def validate(self, where: str) -> None:
        """Checks the fields.

        Raises:
            ConfigError: a field has a value that cannot work.
        """
        self.anchors.validate(f"{where}.anchors")
        self.rois.validate(f"{where}.rois")
        remedy = f"of {where}.rois.count = {self.rois.count} rois none could be foreground; set one of them higher"
        fraction = self.rois.foreground_fraction
        require(self.rois.foreground_count > 0, f"{where}.rois.foreground_fraction", fraction, remedy)


@runtime_checkable
class Sampler(Protocol):
    """Chooses the boxes that go to the heads of a batch."""

    def limits(self, config: ProposalConfig) -> tuple[int, int]:
        """Candidates per level, and proposals per image."""
        ...

    def anchor_targets(self, anchors: Float[Array, "a 4"], box_weights: box_ops.Weights) -> AnchorTargets | None:
        """The anchors that the losses look at, if there are losses."""
        ...

    def proposals(self, proposals: Proposals) -> Proposals:
        """The proposals to use, given those of the region proposal network."""
        ...

    def box_rois(self, proposals: Proposals, background: int) -> Rois:
        """The boxes that go to the box head; `background` is the label of background."""
        ...

    def head_rois(self, rois: Rois, detections: Detections, background: int) -> Rois:
        """The boxes that go to further heads, given the box head's RoIs and detections."""
        ...

    @property
    def detects(self) -> bool:
        """Whether further heads look at the detections."""
        ...


class Inference(NamedTuple):
    """Prediction: every proposal goes to the box head, every detection to further heads."""

    given: Proposals | None = None
    """Boxes to use in place of the region proposal network's: Fast R-CNN."""

    @property
    def detects(self) -> bool:
        """True: they look at the detections."""
        return True

    def limits(self, config: ProposalConfig) -> tuple[int, int]:
        """The configured numbers of prediction."""
        return config.top_k, config.count

    def anchor_targets(self, anchors: Float[Array, "a 4"], box_weights: box_ops.Weights) -> None:
        """None: there are no losses."""

    def proposals(self, proposals: Proposals) -> Proposals:
        """The given ones, if there are any."""
        return proposals if self.given is None else self.given

    def box_rois(self, proposals: Proposals, background: int) -> Rois:
        """All proposals, labelled as background, as they are matched with nothing."""
        labels = jnp.full(proposals.valid.shape, background, jnp.int32)
        return Rois(proposals.boxes, proposals.valid, labels, jnp.zeros_like(labels))

    def head_rois(self, rois: Rois, detections: Detections, background: int) -> Rois:
        """The detections."""
        return Rois(detections.boxes, detections.valid, detections.labels, jnp.zeros_like(detections.labels))


class Training(NamedTuple):
    """Training: a random sample of matched proposals goes to the box head, its foreground to further heads."""

    key: jax.Array
    """Decides which anchors and RoIs are sampled."""
    ground_truth: GroundTruth
    """Of the batch, with boxes as in the network."""
    config: SamplingConfig

    @property
    def detects(self) -> bool:
        """False: they look at the sampled foreground."""
        return False

    def limits(self, config: ProposalConfig) -> tuple[int, int]:
        """The configured numbers of training."""
        return config.train_top_k, config.train_count

    @jax.named_scope("targets")
    def anchor_targets(self, anchors: Float[Array, "a 4"], box_weights: box_ops.Weights) -> AnchorTargets:
        """A sample of the anchors of each image, with targets."""
        draw = partial(stages.sample_anchors, config=self.config.anchors, box_weights=box_weights)
        return per_image(lambda key, truth: draw(key, anchors, truth))(self._keys(0), self.ground_truth)

    def proposals(self, proposals: Proposals) -> Proposals:
        """Those of the region proposal network."""
        return proposals

    def box_rois(self, proposals: Proposals, background: int) -> Rois:
        """A sample of the proposals of each image, foreground first."""
        config, append = self.config.rois, self.config.append_ground_truth
        draw = partial(stages.sample_rois, num_classes=background, config=config, append_ground_truth=append)
        return per_image(draw)(self._keys(1), proposals, self.ground_truth)

    def head_rois(self, rois: Rois, detections: Detections, background: int) -> Rois:
        """The foreground of the box head's RoIs."""
        count = self.config.rois.foreground_count
        return per_image(partial(stages.foreground_rois, count=count, num_classes=background))(rois)

    def _keys(self, use: int) -> jax.Array:
        return jax.random.split(self.key, (2, len(self.ground_truth.boxes)))[use]
