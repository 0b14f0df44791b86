"""Models with trained weights."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from maskrcnn_jax import weights
from maskrcnn_jax.checkpoint import CheckpointError, load_weights
from maskrcnn_jax.config import Config
from maskrcnn_jax.experiment import read_config
from maskrcnn_jax.model import MaskRCNN


def build_model(config: Config) -> MaskRCNN:
    """The network of an experiment with fresh weights, decided by `run.seed`."""
    # The program runs once. On CPUs the compiler would spend half a minute on making its random numbers fast.
    hasty = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return config.customize(jax.jit(lambda: _network(config), compiler_options=hasty)())


def abstract_model(config: Config) -> MaskRCNN:
    """The network of an experiment with shapes in place of weights: no memory, no computation."""
    return nnx.eval_shape(lambda: config.customize(_network(config)))


def _network(config: Config) -> MaskRCNN:
    return MaskRCNN(config.model, rngs=nnx.Rngs(config.run.seed))


def with_weights(config: Config, folder: Path | str, step: int | None = None) -> MaskRCNN:
    """The network of an experiment with the weights of a run folder, their moving average if the run kept one.

    Args:
        config: the experiment; its model must be the one that the run trained.
        folder: a run folder.
        step: the checkpoint; the latest by default.

    Raises:
        CheckpointError: there is no such checkpoint, it is damaged, or it belongs to another architecture.
    """
    saved = load_weights(folder, step)
    params = saved.params if saved.ema is None else saved.ema
    params, statistics = ({n: jnp.asarray(v) for n, v in d.items()} for d in (params, saved.statistics))
    try:
        return weights.replace(abstract_model(config), params, statistics)
    except ValueError as error:
        raise CheckpointError(f"{folder}, step {saved.step}: {error}") from error


def load_pretrained(source: Path | str, step: int | None = None) -> MaskRCNN:
    """The model of a run folder, as its own `config.json` describes it; see `with_weights`.

    Args:
        source: a run folder.
        step: the checkpoint; the latest by default.
    """
    return with_weights(read_config(source), source, step)
