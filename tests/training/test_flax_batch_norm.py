"""`nnx.BatchNorm` of a fork: the batch's statistics in training where it is trainable, its running ones elsewhere."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from flax import nnx
from small import CONFIG, change, jit, mixed

from maskrcnn_jax.checkpoints.pretrained import abstract_model, build_model
from maskrcnn_jax.config import MaskHead, Phase
from maskrcnn_jax.nn.heads.mask import MaskHeadModule
from maskrcnn_jax.training.step import start


@dataclass(frozen=True)
class NormedMaskHead(MaskHead):
    def build(self, channels, classes, outputs, *, dtype, rngs):
        return Module(self, channels, classes, outputs, dtype=dtype, rngs=rngs)


class Module(MaskHeadModule):
    def __init__(self, config, channels, *sizes, dtype, rngs):
        super().__init__(config, channels, *sizes, dtype=dtype, rngs=rngs)
        self.normed = nnx.BatchNorm(channels, rngs=rngs)

    def __call__(self, roi_features):
        return super().__call__(self.normed(roi_features))


NORMED = change(
    CONFIG,
    model__mask_head=NormedMaskHead(convs=1, channels=16),
    optimizer__phases=(Phase("fpn", until=1), Phase("all")),
)
STATISTICS = {"mask_head.normed.mean", "mask_head.normed.var"}


@pytest.fixture(scope="module")
def model():
    return build_model(NORMED)


def test_prediction_uses_running_statistics(model):
    """Of mean 0 and variance 1: the norm divides by √(1 + ε), whatever else is in the batch."""
    norm = model.mask_head.normed
    x = 5 * jax.random.normal(jax.random.key(0), (2, 4, 4, *norm.mean[...].shape)) + 2
    np.testing.assert_allclose(norm(x), x / np.sqrt(1 + norm.epsilon), rtol=1e-5)
    assert abstract_model(NORMED).mask_head.normed.use_running_average


def test_statistics_change_only_in_the_phase_that_trains_it(model):
    state, step = start(model, NORMED)
    frozen, _ = jit(step, static_argnames="phase")(state, mixed(), phase=0)
    trained, _ = jit(step, static_argnames="phase")(state, mixed(), phase=1)
    assert state.statistics.keys() >= STATISTICS
    for name in STATISTICS:
        np.testing.assert_array_equal(frozen.statistics[name], state.statistics[name])
        assert not np.array_equal(trained.statistics[name], state.statistics[name])
