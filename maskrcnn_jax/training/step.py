"""One step of training, as a pure function of state and batch."""

import zlib
from collections.abc import Set
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from maskrcnn_jax.config import Config, Loss, ModelConfig, SamplingConfig
from maskrcnn_jax.distributed.mesh import everywhere, replicated
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.model.sampler import Training
from maskrcnn_jax.nn.params import Arrays, merge, split
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.structs import Batch, GroundTruth
from maskrcnn_jax.training.optimizer import factors, learning_rate, make_optimizer, trainable_names
from maskrcnn_jax.training.rematerialization import rematerialized

DROPOUT = 2**31
"""Sets the key of dropout apart from those of the losses."""


class TrainState(NamedTuple):
    """Everything that training changes. With the seed it decides all that is to come."""

    step: jax.Array
    """int32 scalar: steps done."""
    params: Arrays
    statistics: Arrays
    """Running statistics of batch norms, and the constants of frozen ones."""
    optimizer: optax.OptState
    ema: Arrays | None
    """Moving average of `params`; None when it is off."""


@runtime_checkable
class TrainStep(Protocol):
    """From a state and a batch to the next state and the step's figures."""

    def __call__(self, state: TrainState, batch: Batch, phase: int = 0) -> tuple[TrainState, dict[str, jax.Array]]:
        """Only what learns in the phase of this index changes; the index is static under `jit`."""


def to_model_boxes(ground_truth: GroundTruth, config: ModelConfig) -> GroundTruth:
    """The objects with boxes like those inside the network; see `ModelConfig.inclusive_boxes`."""
    shorten = partial(box_ops.shorten, by=float(config.inclusive_boxes))
    boxes, extent = (shorten(jnp.asarray(sides)) for sides in (ground_truth.boxes, ground_truth.mask_extent))
    return ground_truth._replace(boxes=boxes, mask_extent=extent)


def compute_losses(
    model: MaskRCNN, batch: Batch, key: jax.Array, losses: tuple[Loss, ...], sampling: SamplingConfig
) -> dict[str, jax.Array]:
    """The losses of a batch by name, not weighted.

    Training differs from prediction in the boxes that the heads look at: sampled proposals, and their foreground.

    Args:
        model: the network, its batch norms in training view.
        batch: images and objects.
        key: decides which anchors and rois are sampled, and whatever else is random in a loss.
        losses: what to compute.
        sampling: which anchors and rois they look at.
    """
    batch = batch._replace(ground_truth=to_model_boxes(batch.ground_truth, model.config))
    trace = model(batch.images, batch.image_sizes, Training(key, batch.ground_truth, sampling))
    keys = {loss.name: jax.random.fold_in(key, zlib.crc32(loss.name.encode())) for loss in losses}
    return {loss.name: loss(model, trace, batch, keys[loss.name]) for loss in losses}


def start(model: MaskRCNN, config: Config) -> tuple[TrainState, TrainStep]:
    """The state before the first step, and the step.

    Args:
        model: the network; its weights are the start.
        config: the experiment.

    Returns:
        The state, which has the same form in all phases, and a pure function to the next state and the step's figures:
        the five losses, their weighted sum, the norm of the gradient and the learning rate.

    Raises:
        ConfigError: no parameter learns in a phase, or a group of the optimiser matches none.
    """
    _, params, statistics = split(model)
    learning = trainable_names(params, config.optimizer, model.config.backbone)
    structures = [split(_in_training(model, names))[0] for names in learning]
    optimizer = make_optimizer(config.optimizer, factors(params, config.optimizer), learning)
    schedule = learning_rate(config.optimizer, config.run.steps)

    def gradients(phase: int, params: Arrays, statistics: Arrays, batch: Batch, key: jax.Array):
        """Gradients of what learns. The frozen parameters stay outside `grad`: no backward pass reaches them."""
        learned = {name: value for name, value in params.items() if name in learning[phase]}

        def objective(learned: Arrays):
            model = merge(structures[phase], params | learned, statistics, key=jax.random.fold_in(key, DROPOUT))
            with rematerialized(model, config.run.rematerialize):
                losses = compute_losses(model, batch, key, config.losses, config.sampling)
            total = sum(loss.weight * losses[loss.name] for loss in config.losses)
            return total, (losses, split(model)[2])

        (total, (losses, statistics_after)), grads = jax.value_and_grad(objective, has_aux=True)(learned)
        return grads, statistics_after, {"loss": total} | {f"loss/{n}": v for n, v in losses.items()}

    def accumulated(phase: int, params: Arrays, statistics: Arrays, batch: Batch, key: jax.Array):
        """The mean of the gradients of several micro-batches, one after the other."""
        count = config.run.accumulate
        # Row i goes to micro-batch i mod count, so that every device keeps its own rows.
        micro = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, count, *x.shape[1:]), 1, 0), batch)

        def add(carry, part):
            micro_batch, micro_key = part
            grads, statistics, figures = gradients(phase, params, carry[1], micro_batch, micro_key)
            mean = jax.tree.map(lambda a, b: a + b / count, (carry[0], carry[2]), (grads, figures))
            return (mean[0], statistics, mean[1]), None

        first = jax.tree.map(lambda x: x[0], micro)
        shapes = jax.eval_shape(partial(gradients, phase), params, statistics, first, key)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (shapes[0], shapes[2]))
        return jax.lax.scan(add, (zeros[0], statistics, zeros[1]), (micro, jax.random.split(key, count)))[0]

    def train_step(state: TrainState, batch: Batch, phase: int = 0) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(config.run.seed), state.step)
        compute = gradients if config.run.accumulate == 1 else accumulated
        grads, statistics, figures = compute(phase, everywhere(state.params), state.statistics, batch, key)
        with jax.named_scope("update"):
            moves, opt_state = optimizer.update(grads, state.optimizer, state.params)
            rate = schedule(state.step)
            params = state.params | {name: state.params[name] - rate * move for name, move in moves.items()}
            ema = state.ema
            if config.optimizer.ema_decay is not None:
                decay = jnp.minimum(config.optimizer.ema_decay, (1 + state.step) / (10 + state.step))
                # Written so that the average of what stays as it was is that value, bit for bit.
                ema = jax.tree.map(lambda average, now: average + (1 - decay) * (now - average), ema, params)
            figures |= {"gradient_norm": optax.tree.norm(grads), "learning_rate": rate}
        return TrainState(state.step + 1, params, statistics, opt_state, ema), figures

    @jax.jit
    def beside(params: Arrays) -> tuple[optax.OptState, Arrays | None]:
        ema = None if config.optimizer.ema_decay is None else jax.tree.map(jnp.copy, params)
        return optimizer.init(params), ema

    with rematerialized(model, config.run.rematerialize):
        pass  # an error in a name comes before the first step
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, *beside(params)), train_step


def on_mesh(step: TrainStep, places: Any, mesh: Mesh) -> Any:
    """The jitted step of a mesh; it uses the memory of the state that it is given for the one that it returns.

    Args:
        step: from `start`.
        places: of the state, see `mesh.param_shardings`: what comes out goes in again, so it lies where it lay.
        mesh: see `mesh.data_mesh`.
    """
    return jax.jit(step, static_argnames="phase", donate_argnums=0, out_shardings=(places, replicated(mesh)))


def _in_training(model: MaskRCNN, learning: Set[str]) -> MaskRCNN:
    """The model with dropout, in which batch norms that are trained use the batch's statistics and update their own."""

    def learns(path: tuple, _: object) -> bool:
        within = ".".join(map(str, path)) + "."
        return any(name.startswith(within) for name in learning)

    training = nnx.view(model, only=learns, raise_if_not_found=False, use_running_average=False)
    training.set_attributes(deterministic=False, raise_if_not_found=False)
    return training
