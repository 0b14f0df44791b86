"""A variant of the tiny experiment that compiles in seconds, and batches whose objects are known."""

import dataclasses
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from whole_runs import TINY

from maskrcnn_jax.config import Config, DetectConfig, ModelConfig, OptimizerConfig, ProposalConfig, RunConfig
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.structs import Batch, GroundTruth
from maskrcnn_jax.training.step import TrainState, TrainStep, start


def change(config: Any, **fields: Any) -> Any:
    """The configuration with fields replaced, each named by its path: `run__steps=3`."""
    for path, value in fields.items():
        name, _, rest = path.partition("__")
        config = dataclasses.replace(
            config, **{name: change(getattr(config, name), **{rest: value}) if rest else value}
        )
    return config


CONFIG = change(
    load_config(TINY),
    model__rpn__proposals=ProposalConfig(top_k=30, count=12, train_top_k=40, train_count=16),
    model__box_head__fcs=(32,),
    model__detect=DetectConfig(count=8),
    sampling__anchors__count=32,
    sampling__rois__count=16,
    sampling__rois__foreground_fraction=0.25,
    data__train__count=100,
    data__validation_batch_size=8,
    data__mask_size=16,
    # Large from the first step on, so that a step changes every metric.
    optimizer=OptimizerConfig(learning_rate=0.01, warmup_steps=0, weight_decay=0.0, ema_decay=0.5),
    run=RunConfig(steps=4),
)
SIDE = CONFIG.data.buckets[0][0]
SLOTS = CONFIG.data.max_objects
"""Ground-truth slots per image."""

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` without optimisation, in half the time; shapes and collectives are the same."""


def abstract(config: ModelConfig) -> MaskRCNN:
    """A model whose weights are only shapes, without memory."""
    return nnx.eval_shape(lambda: MaskRCNN(config, rngs=nnx.Rngs(0)))


def build(config: ModelConfig = CONFIG.model) -> MaskRCNN:
    """A model with random weights, without compiling its initialisers."""
    rng = np.random.default_rng(0)

    def value(path, leaf):
        if leaf.ndim > 1:
            return jnp.asarray(rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape), leaf.dtype)
        neutral = np.ones if {"scale", "var"} & {getattr(key, "key", None) for key in path} else np.zeros
        return jnp.asarray(neutral(leaf.shape), leaf.dtype)

    graph, state = nnx.split(abstract(config))
    return nnx.merge(graph, jax.tree_util.tree_map_with_path(value, state))


@cache
def trained(config: Config = CONFIG) -> tuple[TrainState, TrainStep]:
    """The state before the first step and the step, which compiles once for all tests."""
    state, step = start(build(config.model), config)
    return state, jit(step)


OBJECTS = (
    ([4.0, 6.0, 30.0, 28.0], 0),
    ([30.0, 20.0, 60.0, 56.0], 1),
    ([8.0, 36.0, 26.0, 60.0], 2),
    ([40.0, 2.0, 62.0, 18.0], 0),
)
"""Boxes and labels of as many objects as there are slots."""


def truth(*objects: tuple[list[float], int], crowd: bool = False) -> GroundTruth:
    """Ground truth of one image; the mask of each object is the left half of its box."""
    count = len(objects)
    boxes, labels = np.zeros((SLOTS, 4), np.float32), np.zeros(SLOTS, np.int32)
    for i, (box, label) in enumerate(objects):
        boxes[i], labels[i] = box, label
    valid = np.arange(SLOTS) < count
    masks = np.zeros((SLOTS, 16, 16), np.uint8)
    masks[:count, :, :8] = 1
    return jax.tree.map(jnp.asarray, GroundTruth(boxes, labels, valid & crowd, valid, masks, boxes))


def batch(*truths: GroundTruth, same_image: bool = False) -> Batch:
    """One random image per ground truth; every second is smaller than the network input."""
    count = len(truths)
    images = np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    sizes = np.array([[SIDE, SIDE], [SIDE - 4, SIDE - 2]], np.float32)[np.arange(count) % 2]
    if same_image:
        images[:], sizes[:] = images[0], sizes[0]
    ground_truth = GroundTruth(*(np.stack(field) for field in zip(*truths, strict=True)))
    return jax.tree.map(jnp.asarray, Batch(images, sizes, ground_truth, np.arange(count, dtype=np.int32)))


def mixed() -> Batch:
    """Four images with as many objects as there are slots, one, none and two."""
    return batch(truth(*OBJECTS), truth(OBJECTS[1]), truth(), truth(*OBJECTS[1:3]))


def boxes_at(*lefts: float) -> jax.Array:
    """Boxes of 10 by 10 pixels with these left edges: a shift of 1 gives an IoU of 90 / 110, of 5 one of 1 / 3."""
    left = jnp.array(lefts, jnp.float32)
    return jnp.stack([left, jnp.zeros_like(left), left + 10, jnp.full_like(left, 10)], axis=1)
