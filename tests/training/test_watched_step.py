"""A step that compiles when it should not is noticed."""

import logging
import re

import jax
import jax.numpy as jnp
import pytest
from small import batch, truth

from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.compilation import Compilations
from maskrcnn_jax.training.step import TrainState
from maskrcnn_jax.training.watched_step import WatchedStep


def cropped(height: int, width: int) -> Batch:
    """A batch of two images of another size."""
    return batch(truth(), truth())._replace(images=jnp.zeros((2, height, width, 3), jnp.uint8))


def holding(kernel: jax.Array) -> TrainState:
    return TrainState(jnp.int32(0), {"kernel": kernel}, {}, (), None)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    """What was logged since the last time: "LEVEL message" each."""
    caplog.set_level(logging.INFO, logger="maskrcnn_jax")

    def take() -> list[str]:
        lines = [f"{record.levelname} {record.message}" for record in caplog.records]
        caplog.clear()
        return lines

    return take


@pytest.fixture
def watched():
    def step(state: TrainState, batch: Batch, phase: int = 0) -> tuple[TrainState, dict]:
        return jax.tree.map(lambda x: x + phase, state), {"loss": batch.images.astype(jnp.float32).mean()}

    with Compilations() as compilations:
        yield WatchedStep(jax.jit(step, static_argnames="phase"), compilations, ((64, 64), (32, 64)))


def test_each_shape_compiles_once_in_each_phase(watched, said):
    state = holding(jnp.ones(3))
    after, metrics = watched(state, cropped(64, 64), phase=1)
    assert after.params["kernel"].tolist() == [2, 2, 2] and metrics["loss"] == 0
    (line,) = said()
    assert re.fullmatch(r"INFO compiled the step for 2 images of 64×64 in \d+\.\d s", line)
    watched(after, cropped(64, 64), phase=1)
    assert said() == []
    for phase, shape in ((1, (32, 64)), (0, (64, 64)), (0, (32, 64))):
        watched(state, cropped(*shape), phase=phase)
        (line,) = said()
        assert line.startswith(f"INFO compiled the step for 2 images of {shape[0]}×{shape[1]} in")
        watched(state, cropped(*shape), phase=phase)
        assert said() == []


def test_a_shape_that_is_no_bucket_is_warned_of(watched, said):
    state = holding(jnp.ones(3))
    watched(state, cropped(64, 64))
    said()
    watched(state, cropped(48, 64))
    (line,) = said()
    assert line.startswith("WARNING compiled the step again, for 2 images of 48×64 in")
    assert "pad to the sizes of data.buckets = ((64, 64), (32, 64))" in line
    assert "batch.images is uint8[2, 48, 64, 3]" in line and "was uint8[2, 64, 64, 3]" in line


def test_a_type_or_place_that_changed_is_named(watched, said):
    watched(holding(jnp.ones(3)), cropped(64, 64))
    said()
    watched(holding(jnp.ones(3, jnp.bfloat16)), cropped(64, 64))
    (line,) = said()
    assert line.startswith("WARNING") and "Changed since the last time: state.params.kernel is bfloat16[3]" in line
    moved = jax.device_put(jnp.ones(3, jnp.bfloat16), jax.devices()[1])
    watched(*jax.device_put((holding(moved), cropped(64, 64)), jax.devices()[1]))
    (line,) = said()
    assert line.startswith("WARNING") and line.count(", was ") == 5  # of all that moved
    assert re.search(r"batch.images is uint8\[2, 64, 64, 3\] .*id=1.*, was uint8\[2, 64, 64, 3\] .*id=0", line)
