"""Dropout: on in training with a key of (seed, step), off elsewhere, and without a state of its own."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from flax import nnx
from small import CONFIG, change, jit, mixed

from maskrcnn_jax.checkpoints.pretrained import build_model
from maskrcnn_jax.config import MaskHead
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.nn.heads.mask import MaskHeadModule
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.training.step import start


@dataclass(frozen=True)
class DropoutMaskHead(MaskHead):
    rate: float = 0.5

    def build(self, channels, classes, outputs, *, dtype, rngs):
        return Module(self, channels, classes, outputs, dtype=dtype, rngs=rngs)


class Module(MaskHeadModule):
    def __init__(self, config, *sizes, dtype, rngs):
        super().__init__(config, *sizes, dtype=dtype, rngs=rngs)
        self.dropout = nnx.Dropout(config.rate, rngs=rngs)

    def __call__(self, roi_features):
        return super().__call__(self.dropout(roi_features))


DROPPED = change(CONFIG, model__mask_head=DropoutMaskHead(convs=1, channels=16), run__seed=3)


@pytest.fixture(scope="module")
def model():
    return build_model(DROPPED)


@pytest.fixture(scope="module")
def run(model):
    state, step = start(model, DROPPED)
    return state, jit(step)


def test_it_is_off_in_prediction(model):
    batch = mixed()
    first, again = (forward(model, batch.images, batch.image_sizes).mask_logits for _ in range(2))
    np.testing.assert_array_equal(first, again)
    plain = build_model(change(DROPPED, model__mask_head__rate=0.0))
    np.testing.assert_array_equal(first, forward(plain, batch.images, batch.image_sizes).mask_logits)


def test_random_state_is_neither_parameter_nor_statistic(model):
    _, params, statistics = flatten(model)
    assert not any("rngs" in name or "dropout" in name for name in params | statistics)


def test_it_is_on_in_training_and_depends_on_the_step_alone(run):
    state, step = run
    losses = [float(step(state._replace(step=state.step + i), mixed())[1]["loss/mask"]) for i in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    without = change(DROPPED, model__mask_head__rate=0.0)
    plain_state, plain_step = start(build_model(without), without)
    assert float(jit(plain_step)(plain_state, mixed())[1]["loss/mask"]) != losses[0]


def test_it_depends_on_the_seed(run):
    other = change(DROPPED, run__seed=4)
    state, step = run
    _, other_step = start(build_model(DROPPED), other)
    assert float(jit(other_step)(state, mixed())[1]["loss/mask"]) != float(step(state, mixed())[1]["loss/mask"])


def test_a_step_leaves_no_random_state_behind(run):
    state, step = run
    after, _ = step(state, mixed())
    assert jax.tree.structure(after) == jax.tree.structure(state)
