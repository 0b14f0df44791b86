"""A small training state, and a run folder to save it in."""

import os
import subprocess
import sys
import textwrap
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints


class TrainState(NamedTuple):
    step: Any
    params: Any
    statistics: Any
    opt_state: Any
    ema: Any


def make_state(step=7, ema=True, side=3):
    kernel = jnp.arange(4.0 * side).reshape(side, 4) + step
    params = {"backbone": {"layers": {"0": {"kernel": kernel}}}, "head": {"bias": jnp.full(3, 0.5, jnp.bfloat16)}}
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    average = jax.tree.map(lambda leaf: leaf + 1, params) if ema else None
    statistics = {"norm": {"mean": jnp.ones(2)}}
    return TrainState(jnp.asarray(step, jnp.int32), params, statistics, optimizer.init(params), average)


def abstract(state):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)


def assert_same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def open_run(folder, keep=2, best="segm/AP"):
    return Checkpoints(folder, keep=keep, best=best)


def start(script, *arguments, output=subprocess.DEVNULL, **environment):
    """Runs a script in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        stdout=output,
    )
