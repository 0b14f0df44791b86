"""One step of training, as a pure function of state and batch."""

import zlib
from collections.abc import Set
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from maskrcnn_jax.config import Config, Loss, ModelConfig, SamplingConfig
from maskrcnn_jax.distributed.mesh import replicate, replicated
from maskrcnn_jax.messages.config_error import require
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.model.sampler import Training
from maskrcnn_jax.nn.params import Arrays, Structure, flatten, unflatten
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.structs import Batch, GroundTruth
from maskrcnn_jax.training.optimizer import factors, learning_rate, make_optimizer, trainable_names
from maskrcnn_jax.training.rematerialization import rematerialized

DROPOUT = 2**31
"""Sets the key of dropout apart from those of the losses."""


Metrics = dict[str, jax.Array]


class TrainState(NamedTuple):
    """Everything that training changes. With the configuration it determines all later steps."""

    step: jax.Array
    """int32 scalar: steps done."""
    params: Arrays
    statistics: Arrays
    """Running statistics of batch norms, and the constants of frozen ones."""
    optimizer: optax.OptState
    ema: Arrays | None
    """Moving average of `params`; None when it is off."""


class Gradients(NamedTuple):
    """What the backward pass gives."""

    grads: Arrays
    """Of the trainable parameters."""
    statistics: Arrays
    """After the forward pass."""
    metrics: Metrics


def to_model_boxes(ground_truth: GroundTruth, config: ModelConfig) -> GroundTruth:
    """The objects with boxes like those inside the network; see `ModelConfig.inclusive_boxes`."""
    shorten = partial(box_ops.shorten, by=float(config.inclusive_boxes))
    boxes, extent = (shorten(jnp.asarray(sides)) for sides in (ground_truth.boxes, ground_truth.mask_extent))
    return ground_truth._replace(boxes=boxes, mask_extent=extent)


def compute_losses(
    model: MaskRCNN, batch: Batch, key: jax.Array, losses: tuple[Loss, ...], sampling: SamplingConfig
) -> dict[str, jax.Array]:
    """The losses of a batch by name, not weighted.

    Training differs from prediction in the RoIs that go to the heads: sampled proposals, and their foreground.

    Args:
        model: the network, its batch norms in training view.
        batch: images and objects.
        key: determines which anchors and RoIs are sampled, and what else is random in a loss.
        losses: which to compute.
        sampling: numbers and thresholds of the sampled anchors and RoIs.

    Raises:
        ConfigError: a loss is no scalar.
    """
    batch = batch._replace(ground_truth=to_model_boxes(batch.ground_truth, model.config))
    trace = model(batch.images, batch.image_sizes, Training(key, batch.ground_truth, sampling))
    keys = {loss.name: jax.random.fold_in(key, zlib.crc32(loss.name.encode())) for loss in losses}
    values = {loss.name: loss(model, trace, batch, keys[loss.name]) for loss in losses}
    for name, value in values.items():
        require(
            jnp.shape(value) == (), f"shape of losses.{name}", jnp.shape(value), "must be (), a scalar; take a mean"
        )
    return values


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class TrainStep:
    """From a state and a batch to the next state and the metrics of the step; pure, its fields are static under `jit`.

    Metrics are the losses by name, their weighted sum, the norm of the gradient and the learning rate.
    """

    config: Config
    structure: Structure
    """The model in prediction."""
    structures: tuple[Structure, ...]
    """The model in training, for each phase: batch norms with trainable scales use the statistics of the batch."""
    trainable: tuple[frozenset[str], ...]
    """The parameters that each phase updates, by dotted name."""
    optimizer: optax.GradientTransformation
    learning_rate: optax.Schedule

    def __call__(self, state: TrainState, batch: Batch, phase: int = 0) -> tuple[TrainState, Metrics]:
        """Updates the parameters that are trainable in the phase of this index, which is static under `jit`."""
        key = jax.random.fold_in(jax.random.key(self.config.run.seed), state.step)
        gradients = self.gradients if self.config.run.accumulate == 1 else self.mean_gradients
        grads, statistics, metrics = gradients(phase, replicate(state.params), state.statistics, batch, key)
        with jax.named_scope("update"):
            updates, opt_state = self.optimizer.update(grads, state.optimizer, state.params)
            rate = self.learning_rate(state.step)
            params = state.params | {name: state.params[name] - rate * update for name, update in updates.items()}
            ema = self.averaged(state, params)
            metrics |= {"gradient_norm": optax.tree.norm(grads), "learning_rate": rate}
        return TrainState(state.step + 1, params, statistics, opt_state, ema), metrics

    def gradients(self, phase: int, params: Arrays, statistics: Arrays, batch: Batch, key: jax.Array) -> Gradients:
        """Gradients of the trainable parameters. The others stay outside `grad`: no backward pass reaches them."""

        def objective(trainable: Arrays) -> tuple[jax.Array, tuple[Metrics, Arrays]]:
            structure, dropout_key = self.structures[phase], jax.random.fold_in(key, DROPOUT)
            model = unflatten(structure, params | trainable, statistics, key=dropout_key)
            with rematerialized(model, self.config.run.rematerialize):
                losses = compute_losses(model, batch, key, self.config.losses, self.config.sampling)
            total = jnp.asarray(sum(loss.weight * losses[loss.name] for loss in self.config.losses))
            return total, (losses, flatten(model)[2])

        trainable = {name: value for name, value in params.items() if name in self.trainable[phase]}
        (total, (losses, statistics)), grads = jax.value_and_grad(objective, has_aux=True)(trainable)
        return Gradients(grads, statistics, {"loss": total} | {f"loss/{n}": v for n, v in losses.items()})

    def mean_gradients(self, phase: int, params: Arrays, statistics: Arrays, batch: Batch, key: jax.Array) -> Gradients:
        """The mean of the gradients of several micro-batches, one after the other."""
        count = self.config.run.accumulate
        # Sample i goes to micro-batch i mod count, so that every device keeps its own samples.
        micro = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, count, *x.shape[1:]), 1, 0), batch)

        def add(mean: Gradients, inputs: tuple[Batch, jax.Array]) -> tuple[Gradients, None]:
            grads, statistics, metrics = self.gradients(phase, params, mean.statistics, *inputs)
            added = jax.tree.map(lambda a, b: a + b / count, (mean.grads, mean.metrics), (grads, metrics))
            return Gradients(added[0], statistics, added[1]), None

        first = jax.tree.map(lambda x: x[0], micro)
        shapes = jax.eval_shape(partial(self.gradients, phase), params, statistics, first, key)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)._replace(statistics=statistics)
        return jax.lax.scan(add, zeros, (micro, jax.random.split(key, count)))[0]

    def averaged(self, state: TrainState, params: Arrays) -> Arrays | None:
        """The moving average after a step that leads to `params`."""
        if self.config.optimizer.ema_decay is None:
            return None
        decay = jnp.minimum(self.config.optimizer.ema_decay, (1 + state.step) / (10 + state.step))
        # Written so that the average of what stays as it was is that value, bit for bit.
        return jax.tree.map(lambda average, now: average + (1 - decay) * (now - average), state.ema, params)

    def model(self, state: TrainState) -> MaskRCNN:
        """The model to evaluate: with the moving average of the parameters where there is one."""
        return unflatten(self.structure, state.params if state.ema is None else state.ema, state.statistics)


def start(model: MaskRCNN, config: Config) -> tuple[TrainState, TrainStep]:
    """The state before the first step, of one form in all phases, and the step.

    Args:
        model: the network; its weights are the start.
        config: the experiment.

    Raises:
        ConfigError: no parameter is trainable in a phase, a group of the optimizer matches none, or the model lacks a
            part of `run.rematerialize`.
    """
    structure, params, statistics = flatten(model)
    trainable = tuple(map(frozenset, trainable_names(params, config.optimizer, model.config.backbone)))
    optimizer = make_optimizer(config.optimizer, factors(params, config.optimizer), trainable)
    step = TrainStep(
        config,
        structure,
        tuple(flatten(_in_training(model, names))[0] for names in trainable),
        trainable,
        optimizer,
        learning_rate(config.optimizer, config.run.steps),
    )

    @jax.jit
    def beside(params: Arrays) -> tuple[optax.OptState, Arrays | None]:
        ema = None if config.optimizer.ema_decay is None else jax.tree.map(jnp.copy, params)
        return optimizer.init(params), ema

    with rematerialized(model, config.run.rematerialize):
        pass  # an error in a name comes before the first step
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, *beside(params)), step


def on_mesh(step: TrainStep, shardings: Any, mesh: Mesh) -> Any:
    """The jitted step of a mesh; it uses the memory of the state that it is given for the one that it returns.

    Args:
        step: from `start`.
        shardings: of the state, see `mesh.param_shardings`: the state that is returned has those of the one given.
        mesh: see `mesh.data_mesh`.
    """

    def train_step(state: TrainState, batch: Batch, phase: int = 0) -> tuple[TrainState, Metrics]:
        return step(state, batch, phase)

    return jax.jit(train_step, static_argnames="phase", donate_argnums=0, out_shardings=(shardings, replicated(mesh)))


def _in_training(model: MaskRCNN, trainable: Set[str]) -> MaskRCNN:
    """The model with dropout, in which trainable batch norms use the batch's statistics and update their own."""

    def is_trained(path: tuple, _: object) -> bool:
        within = ".".join(map(str, path)) + "."
        return any(name.startswith(within) for name in trainable)

    training = nnx.view(model, only=is_trained, raise_if_not_found=False, use_running_average=False)
    training.set_attributes(deterministic=False, raise_if_not_found=False)
    return training
