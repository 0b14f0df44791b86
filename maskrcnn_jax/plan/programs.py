"""The programs of an experiment, lowered from shapes alone: no memory, no data, no device."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, Sharding

from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import Config, require
from maskrcnn_jax.distributed.mesh import param_shardings, replicated, spread
from maskrcnn_jax.nn.params import Arrays, flatten, unflatten
from maskrcnn_jax.plan.arithmetic import model_flops
from maskrcnn_jax.prediction.detector import detect
from maskrcnn_jax.structs import Batch, GroundTruth
from maskrcnn_jax.training.optimizer import trainable_names
from maskrcnn_jax.training.step import TrainState, TrainStep, compute_losses, on_mesh, start


class Program(NamedTuple):
    """A program for the devices of a mesh."""

    lowered: jax.stages.Lowered
    parts: dict[str, Any]
    """Its arguments by name: pytrees of shapes with their shardings."""
    images: int
    """Per device; of several micro-batches, those of one."""
    size: tuple[int, int]
    """Height and width of the images, pixels."""
    model_flops: float
    """The model's own arithmetic for these images."""


def train_batch(config: Config, count: int) -> Batch:
    """A batch of `count` images in the largest of the experiment's buckets, as shapes."""
    slots, side = config.data.max_objects, config.data.mask_size
    height, width = _largest(config.data.buckets)

    def form(*shape: int, dtype: type = jnp.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *shape), dtype)

    return Batch(
        form(height, width, 3, dtype=jnp.uint8),
        form(2),
        GroundTruth(
            form(slots, 4),
            form(slots, dtype=jnp.int32),
            form(slots, dtype=jnp.bool_),
            form(slots, dtype=jnp.bool_),
            form(slots, side, side, dtype=jnp.uint8),
            form(slots, 4),
        ),
        form(dtype=jnp.int32),
    )


def train_state(config: Config) -> tuple[TrainState, TrainStep]:
    """The state before the first step, as shapes, and the step itself."""
    return jax.eval_shape(partial(start, config=config), abstract_model(config))


def train_program(config: Config, mesh: Mesh, images: int) -> Program:
    """The train step as `train.py` runs it, in the phase with the most trainable parameters.

    Args:
        config: the experiment.
        mesh: see `mesh.data_mesh`; its devices need not be present.
        images: per device; of each micro-batch, if there are several.
    """
    state, step = train_state(config)
    phase, _ = _largest_phase(config, state.params)
    batch = _with_sharding(train_batch(config, images * mesh.size * config.run.accumulate), spread(mesh))
    shardings = param_shardings(state, mesh)
    state = jax.tree.map(_with_sharding, state, shardings)
    with jax.set_mesh(mesh):
        lowered = on_mesh(step, shardings, mesh).lower(state, batch, phase=phase)
    parts = {
        "parameters": state.params,
        "statistics": state.statistics,
        "optimizer": state.optimizer,
        "moving average": state.ema,
        "batch": batch,
    }
    return Program(lowered, parts, images, _largest(config.data.buckets), losses_flops(config, images))


def losses_flops(config: Config, images: int) -> float:
    """The model's own arithmetic in a train step of so many images; see `arithmetic.model_flops`."""
    structure, params, statistics = flatten(abstract_model(config))
    _, names = _largest_phase(config, params)

    def losses(trainable, frozen, batch, key):
        weights = trainable | frozen
        model = unflatten(structure, *({name: weights[name] for name in part} for part in (params, statistics)))
        return compute_losses(model, batch, key, config.losses, config.sampling)

    trainable = {name: params[name] for name in names}
    frozen = {name: value for name, value in params.items() if name not in names} | statistics
    key = jax.eval_shape(lambda: jax.random.key(0))
    return model_flops(losses, trainable, frozen, train_batch(config, images), key)


def _largest_phase(config: Config, params: Arrays) -> tuple[int, set[str]]:
    """The index of the phase with the most trainable parameters, and their names."""
    phases = trainable_names(params, config.optimizer, config.model.backbone)
    sizes = [sum(math.prod(params[name].shape) for name in names) for names in phases]
    phase = sizes.index(max(sizes))
    return phase, phases[phase]


def predict_program(config: Config, mesh: Mesh, images: int) -> Program:
    """The prediction as `evaluate.py` and `Predictor` run it.

    Args:
        config: the experiment.
        mesh: see `mesh.data_mesh`; its devices need not be present.
        images: per device.
    """
    structure, params, statistics = flatten(abstract_model(config))
    buckets = config.model.input.buckets
    remedy = "the model takes images of any size; say which to plan for: -- --model.input.buckets HEIGHT WIDTH"
    require(len(buckets) > 0, "model.input.buckets", buckets, remedy)
    size = _largest(buckets)

    def inputs(count: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
        return jax.ShapeDtypeStruct((count, *size, 3), jnp.uint8), jax.ShapeDtypeStruct((count, 2), jnp.float32)

    weights = _with_sharding((params, statistics), replicated(mesh))
    batch = _with_sharding(inputs(images * mesh.size), spread(mesh))
    with jax.set_mesh(mesh):
        lowered = detect.lower(structure, *weights, *batch)
    parts = {"parameters": weights[0], "statistics": weights[1], "batch": batch}

    def found(_, weights, *batch):
        return detect(structure, *weights, *batch)

    return Program(lowered, parts, images, size, model_flops(found, {}, (params, statistics), *inputs(images)))


def _largest(buckets: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    return max(buckets, key=math.prod)


def _with_sharding(shapes: Any, sharding: Sharding) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)
