"""Modules with random weights, without compiling their initialisers."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

M = TypeVar("M", bound=nnx.Module)


def fill(make: Callable[[], M]) -> M:
    """The module that `make` makes, its kernels random, its scales and variances 1, its biases and means 0."""
    rng = np.random.default_rng(0)

    def value(path, leaf):
        if leaf.ndim > 1:
            return jnp.asarray(rng.normal(0, leaf.shape[-2] ** -0.5, leaf.shape), leaf.dtype)
        neutral = np.ones if {"scale", "var"} & {getattr(key, "key", None) for key in path} else np.zeros
        return jnp.asarray(neutral(leaf.shape), leaf.dtype)

    graph, state = nnx.split(nnx.eval_shape(make))
    return nnx.merge(graph, jax.tree_util.tree_map_with_path(value, state))
