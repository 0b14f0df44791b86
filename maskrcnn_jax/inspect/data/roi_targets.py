"""The targets of the heads in training, with random boxes in place of the network's proposals."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import Config, Mask
from maskrcnn_jax.model import stages
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.images import valid_regions
from maskrcnn_jax.structs import Batch, GroundTruth, Proposals, Rois
from maskrcnn_jax.training import targets
from maskrcnn_jax.training.step import to_model_boxes

RANDOM_ROIS = 10_000
"""Random boxes for each image."""
NEAR = 0.9
"""Share of them around objects."""


class RoiTargets(NamedTuple):
    """The sampled RoIs of an image and their targets."""

    rois: Rois
    refined: np.ndarray
    """`[n, 4]` pixels: the RoIs with their targets applied; meaningful where foreground."""
    masks: np.ndarray | None
    """`[n, m, m]` in [0, 1]: the mask targets; meaningful where foreground. None without mask head."""
    foreground: np.ndarray
    """`[n]` bool: the RoI is matched with an object."""


class RoiCount(NamedTuple):
    """Number of sampled RoIs of an image."""

    step: int
    image_id: int
    objects: int
    """Without crowds."""
    rois: int
    foreground: int

    @property
    def share(self) -> float:
        """Of the foreground among the RoIs."""
        return self.foreground / max(self.rois, 1)


def random_proposals(
    rng: np.random.Generator, truth: GroundTruth, region: Float[np.ndarray, "4"], count: int = RANDOM_ROIS
) -> Proposals:
    """Random boxes: nine of ten around an object, the others anywhere in the image.

    Those around an object, which is no crowd, have their corners in its box, enlarged by its width and height on each
    side. All are in the region of the image, in pixels; those with a side below a pixel are not valid.

    Source: Matterport `generate_random_rois`.
    """
    objects = truth.boxes[truth.valid & ~truth.is_crowd]
    near = int(NEAR * count) if len(objects) else 0
    start, stop = np.tile(region[:2], (count, 1)), np.tile(region[2:], (count, 1))
    around = objects[np.arange(near) % max(len(objects), 1)]
    sides = around[:, 2:] - around[:, :2]
    start[:near] = np.maximum(around[:, :2] - sides, region[:2])
    stop[:near] = np.minimum(around[:, 2:] + sides, region[2:])
    corners = np.sort(rng.uniform(start[:, None], stop[:, None], (count, 2, 2)), axis=1)
    boxes = corners.reshape(count, 4).astype(np.float32)
    valid = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
    return Proposals(boxes, np.zeros(count, np.float32), valid)


def roi_targets(
    key: PRNGKeyArray, proposals: Proposals, truth: GroundTruth, config: Config, background: int
) -> RoiTargets:
    """The RoIs that training samples from the proposals of one image, and their targets.

    The label of background is the number of classes.
    """
    rois, refined, masks = jax.device_get(_targets(key, proposals, truth, config, background))
    return RoiTargets(rois, refined, masks, rois.valid & (rois.labels < background))


@partial(jax.jit, static_argnames=("config", "background"))
def _draw(key: PRNGKeyArray, proposals: Proposals, truth: GroundTruth, config: Config, background: int) -> Rois:
    """The RoIs that training draws."""
    sampling = config.sampling
    return stages.sample_rois(key, proposals, truth, background, sampling.rois, sampling.append_ground_truth)


@partial(jax.jit, static_argnames=("config", "background"))
def _targets(
    key: PRNGKeyArray, proposals: Proposals, truth: GroundTruth, config: Config, background: int
) -> tuple[Rois, Float[Array, "n 4"], Float[Array, "n m m"] | None]:
    """RoIs, the RoIs with their targets applied, and mask targets."""
    rois = _draw(key, proposals, truth, config, background)
    weights, head = config.model.box_head.box_weights, config.model.mask_head
    loss = next((loss for loss in config.losses if isinstance(loss, Mask)), None)
    deltas = targets.box_targets(rois, truth, weights)
    refined = box_ops.decode(deltas, rois.boxes, weights, config.model.rpn.proposals.max_log_scale)
    if head is None or loss is None:
        return rois, refined, None
    features = jax.ShapeDtypeStruct((1, 1, head.pool_size, head.pool_size, config.model.fpn.channels), jnp.float32)
    side = jax.eval_shape(lambda head, x: head(x), abstract_model(config).mask_head, features).shape[2]
    masks = targets.mask_targets(rois, truth, side, loss.samples, loss.aligned, loss.binary_targets)
    return rois, refined, masks


def count_rois(batches: Iterable[Batch], config: Config, background: int, seed: int) -> Iterator[RoiCount]:
    """Draws RoIs from random boxes for every image of batches and counts the foreground."""
    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    for step, batch in enumerate(batches):
        windows = valid_regions(batch.image_sizes, (batch.images.shape[1], batch.images.shape[2]), config.model.input)
        for slot, region in enumerate(np.asarray(windows)):
            stored = GroundTruth(*(field[slot] for field in batch.ground_truth))
            truth = jax.device_get(to_model_boxes(stored, config.model))
            proposals = random_proposals(rng, truth, region)
            key, own = jax.random.split(key)
            rois = jax.device_get(_draw(own, proposals, truth, config, background))
            sums = truth.valid & ~truth.is_crowd, rois.valid, rois.valid & (rois.labels < background)
            yield RoiCount(step, int(batch.image_ids[slot]), *(int(each.sum()) for each in sums))
