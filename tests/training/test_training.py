"""The train step on a small model: what it returns, what it changes, and that it resumes where it stopped."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params
from small import CONFIG, OBJECTS, abstract, batch, build, change, jit, mixed, trained, truth

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints
from maskrcnn_jax.config import ConfigError, Loss, Phase
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.training.step import TrainState, compute_losses, start, to_model_boxes


def same(a, b) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.mark.parametrize("on_the_host", [False, True])
def test_boxes_inside_the_network(on_the_host: bool):
    """Matterport's end on their last pixel: one less to the right and below. Their masks reach as far."""
    objects = truth(([4.0, 6.0, 20.0, 30.0], 1))
    objects = jax.device_get(objects) if on_the_host else objects
    plain = to_model_boxes(objects, CONFIG.model)
    inside = to_model_boxes(objects, change(CONFIG.model, inclusive_boxes=True))
    assert plain.boxes[0].tolist() == plain.mask_extent[0].tolist() == [4, 6, 20, 30]
    assert inside.boxes[0].tolist() == inside.mask_extent[0].tolist() == [4, 6, 19, 29]
    assert same(inside._replace(boxes=objects.boxes, mask_extent=objects.mask_extent), objects)


def test_metrics_of_a_step():
    state, step = trained()
    after, metrics = step(state, mixed())
    parts = [f"loss/{loss.name}" for loss in CONFIG.losses]
    assert sorted(metrics) == sorted([*parts, "loss", "gradient_norm", "learning_rate"])
    assert all(np.isfinite(value) and value > 0 for value in metrics.values())
    np.testing.assert_allclose(metrics["loss"], sum(metrics[name] for name in parts), rtol=1e-6)
    np.testing.assert_allclose(metrics["learning_rate"], 0.01, rtol=1e-6)
    assert (int(state.step), int(after.step)) == (0, 1)


def test_a_step_updates_every_parameter_and_statistic():
    state, step = trained()
    after, metrics = step(state, mixed())
    for before, now in ((state.params, after.params), (state.statistics, after.statistics)):
        assert [name for name in before if np.array_equal(before[name], now[name])] == []
    # The first step of plain SGD updates the parameters by rate × gradient.
    moved = np.sqrt(sum(np.sum((after.params[n] - state.params[n]) ** 2) for n in state.params))
    np.testing.assert_allclose(moved, 0.01 * metrics["gradient_norm"], rtol=1e-4)


def test_the_state_decides_what_is_drawn():
    """The same state gives the same metrics; another step draws other anchors and rois."""
    state, step = trained()
    first, again = step(state, mixed()), step(state, mixed())
    assert same(first, again)
    later = step(state._replace(step=state.step + 1), mixed())[1]
    assert float(later["loss/rpn_objectness"]) != float(first[1]["loss/rpn_objectness"])


def test_moving_average():
    """Decay min(0.5, (1 + step) / (10 + step)): 1/10 at the first step, 2/11 at the second."""
    state, step = trained()
    first, _ = step(state, mixed())
    second, _ = step(first, mixed())
    for name, start_value in state.params.items():
        average = 0.1 * start_value + 0.9 * first.params[name]
        np.testing.assert_allclose(first.ema[name], average, rtol=1e-4, atol=1e-6)
        average = 2 / 11 * average + 9 / 11 * second.params[name]
        np.testing.assert_allclose(second.ema[name], average, rtol=1e-4, atol=1e-6)


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path):
    """2 steps, save, restore and 2 steps give bit for bit what 4 steps give."""
    state, step = trained()

    def run(state: TrainState, steps: int):
        batches = train_batches(CONFIG.data.train.open(), CONFIG.data, seed=0, start_step=int(state.step))
        metrics = []
        for _ in range(steps):
            state, values = step(state, next(batches))
            metrics.append(values)
        batches.close()
        return state, metrics

    whole, metrics = run(state, 4)
    half, early = run(state, 2)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(2, half)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        restored = checkpoints.restore(jax.tree.map(jnp.zeros_like, half))
    assert int(restored.step) == 2
    resumed, late = run(restored, 2)
    assert same(early + late, metrics)
    assert same(resumed, whole)
    assert not same(half.params, whole.params)


# Every anchor and roi is sampled, so that keys decide nothing; backbone and masks are left out to compile sooner.
WHOLE = change(
    CONFIG,
    model__mask_head=None,
    sampling__anchors__count=1023,
    sampling__rois__count=20,
    sampling__rois__foreground_fraction=1.0,
    model__fpn__norm="batch",
    optimizer__phases=(Phase("heads"),),
    optimizer__ema_decay=None,
)


def test_accumulated_gradients_are_those_of_the_whole_batch():
    """Four times the same image: as one batch, and as two micro-batches of two."""
    same_four = batch(*[truth(*OBJECTS)] * 4, same_image=True)
    state, step = start(build(WHOLE.model), WHOLE)
    whole, metrics = jit(step)(state, same_four)
    state, step = start(build(WHOLE.model), change(WHOLE, run__accumulate=2))
    parts, accumulated = jit(step)(state, same_four)
    for name in metrics:
        np.testing.assert_allclose(accumulated[name], metrics[name], rtol=1e-4)
    for name in whole.params:
        np.testing.assert_allclose(parts.params[name], whole.params[name], rtol=1e-4, atol=1e-6)
    # Running statistics start at mean 0 and move by a tenth of the way per batch: once 0.1, twice 0.1 + 0.9 · 0.1.
    means = [name for name in state.statistics if name.startswith("fpn") and name.endswith("mean")]
    assert len(means) == 8 and all(np.abs(whole.statistics[name]).max() > 0.01 for name in means)
    for name in means:
        np.testing.assert_allclose(parts.statistics[name], 1.9 * whole.statistics[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"optimizer__name": "adamw"}, {"model__dtype": "bfloat16"}, {"run__accumulate": 2, "model__dtype": "bfloat16"}],
    ids=["adamw", "bfloat16", "accumulated bfloat16"],
)
def test_a_step_keeps_shapes_and_types(changes):
    """So the step compiles once, and parameters stay float32 whatever the compute type."""
    config = change(CONFIG, **changes)
    state = jax.eval_shape(lambda model: start(model, config)[0], abstract(config.model))
    _, step = start(build(config.model), config)
    after, metrics = jax.eval_shape(step, state, mixed())
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32", "int32"}
    assert all(value.shape == () and value.dtype == jnp.float32 for value in metrics.values())


def test_losses_in_bfloat16():
    """Finite, float32, and near those of float32."""
    state, step = trained()
    _, metrics = step(state, mixed())
    model = nnx.view(build(change(CONFIG.model, dtype="bfloat16")), use_running_average=False)
    key = jax.random.fold_in(jax.random.key(CONFIG.run.seed), 0)
    losses = jit(compute_losses, static_argnums=(3, 4))(model, mixed(), key, CONFIG.losses, CONFIG.sampling)
    assert losses.keys() == {"rpn_objectness", "rpn_box", "classification", "box", "mask"}
    assert all(loss.dtype == jnp.float32 and np.isfinite(loss) for loss in losses.values())
    # Proposals may be in another order, so that other rois are drawn; the anchors drawn are the same.
    for name in ("rpn_objectness", "rpn_box"):
        np.testing.assert_allclose(losses[name], metrics[f"loss/{name}"], rtol=0.1)


def test_a_loss_that_is_no_scalar_is_named():
    @dataclass(frozen=True)
    class Scores(Loss):
        name: ClassVar = "scores"

        def __call__(self, model, trace, batch, key):
            return trace.rpn.logits.sum(-1)

    config = change(CONFIG, losses=(Scores(),))
    state = jax.eval_shape(lambda model: start(model, config)[0], abstract(config.model))
    _, step = start(build(config.model), config)
    with pytest.raises(ConfigError, match=r"losses\.scores = \(4,\): must return a scalar; take a mean or sum"):
        jax.eval_shape(step, state, mixed())


def test_no_index_in_bfloat16():
    """Bfloat16 cannot hold whole numbers above 256: nothing is converted to it from integers."""
    config = change(CONFIG, model__dtype="bfloat16")
    state, step = start(build(config.model), config)
    kinds = {str(t) for t in conversions(jax.make_jaxpr(step)(state, mixed()).jaxpr, "bfloat16")}
    assert kinds == {"float32"}


NEVER = {"exp", "exp2", "log", "log1p", "logistic", "tanh", "sqrt", "rsqrt", "div", "integer_pow", "cumsum", "sort"}
"""What loses its meaning with 8 bits, and what only norms, losses, softmax and boxes do."""


@pytest.mark.parametrize("norm", ["frozen_batch", "batch", "group"])
def test_norms_losses_boxes_and_sums_are_in_float32(norm):
    """Bfloat16 is for convolutions, matrix products and what lies between them. The only sums in it are of the 2 × 2
    cells that the pyramid made of one."""
    config = change(CONFIG, model__dtype="bfloat16", model__backbone__norm=norm)

    def one_step(model, batch):
        state, step = start(model, config)
        return step(state, batch)

    found = list(operands(jax.make_jaxpr(one_step)(abstract(config.model), mixed()).jaxpr, jnp.bfloat16))
    assert {"conv_general_dilated", "dot_general"} <= {name for name, _ in found}
    assert not NEVER & {name for name, _ in found}
    sums = [shape for name, shape in found if name == "reduce_sum"]
    assert len(sums) == 6 and all(len(shape) == 5 and 2 in shape[2:4] for shape in sums)


def operands(jaxpr, dtype):
    """Primitive and shape wherever a program does something to an array of a type."""
    for equation in jaxpr.eqns:
        for operand in equation.invars[:1]:
            if operand.aval.dtype == dtype:
                yield equation.primitive.name, operand.aval.shape
        for inner in jaxprs_in_params(equation.params):
            yield from operands(inner, dtype)


def test_a_profile_of_the_step_names_its_stages():
    """Forwards as `jvp(box)` and backwards as `transpose(jvp(box))`: what names the operations in a trace."""

    def one_step(model, batch):
        state, step = start(model, CONFIG)
        return step(state, batch)

    found = set(stacks(jax.make_jaxpr(one_step)(abstract(CONFIG.model), mixed()).jaxpr))
    stages = ("features", "proposals", "box", "mask", "losses")
    assert {f"transpose(jvp({stage}))" for stage in stages} <= found
    assert {f"jvp({stage})" for stage in (*stages, "targets")} | {"update"} <= found


def stacks(jaxpr):
    """The outermost scope of every operation of a program."""
    for equation in jaxpr.eqns:
        yield str(equation.source_info.name_stack).partition("/")[0]
        for inner in jaxprs_in_params(equation.params):
            yield from stacks(inner)


def conversions(jaxpr, to: str):
    """Types from which anything in a program is converted to another."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "convert_element_type" and equation.params["new_dtype"] == to:
            yield equation.invars[0].aval.dtype
        for inner in jaxprs_in_params(equation.params):
            yield from conversions(inner, to)
