"""Phases of a run: what is frozen keeps its bits and costs nothing, and a run may stop anywhere in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from small import CONFIG, abstract, build, change, jit, mixed

from maskrcnn_jax.checkpoints.checkpoint import Checkpoints
from maskrcnn_jax.config import Phase
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.training.optimizer import phase_after
from maskrcnn_jax.training.step import TrainState, compute_losses, start

FIRST = ("box_head", "fpn")
SECOND = ("backbone.layer4", "fpn", "rpn_head", "box_head")
STAGED = change(
    CONFIG,
    model__mask_head=None,
    model__fpn__norm="batch",
    optimizer__name="adamw",
    optimizer__phases=(Phase("box_head|fpn", until=2), Phase("5+")),
    run__steps=5,
)


@pytest.fixture(scope="module")
def staged():
    state, step = start(build(STAGED.model), STAGED)
    return state, jit(step, static_argnames="phase")


@pytest.fixture(scope="module")
def whole(staged):
    """All five steps, without a stop."""
    return run(*staged, count=5)


def run(state: TrainState, step, count: int) -> list[tuple[TrainState, dict]]:
    """States and metrics of so many more steps, each in its phase."""
    batches = train_batches(STAGED.data.train.open(), STAGED.data, seed=0, start_step=int(state.step))
    passed = []
    for _ in range(count):
        state, metrics = step(state, next(batches), phase=phase_after(STAGED.optimizer, int(state.step)))
        passed.append((state, metrics))
    batches.close()
    return passed


def changed(before: dict, after: dict) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not np.array_equal(before[name], after[name])}


def of(arrays: dict, parts: tuple[str, ...]) -> set[str]:
    return {name for name in arrays if name.startswith(parts)}


def test_only_trainable_parameters_change(staged, whole):
    """Weights and the statistics of batch norms; the rest keeps its bits."""
    begin, second, last = staged[0], whole[1][0], whole[4][0]
    for before, after, parts in ((begin, second, FIRST), (second, last, SECOND)):
        assert changed(before.params, after.params) == of(before.params, parts)
        assert changed(before.statistics, after.statistics) == of(before.statistics, parts)
    assert of(begin.statistics, ("fpn",)) and of(begin.statistics, ("backbone.layer4",))
    # So does the moving average of what was never trainable.
    assert changed(begin.ema, last.ema) == of(begin.params, SECOND)


def test_stopped_in_the_second_phase_equals_never_stopped(staged, whole, tmp_path):
    begin, step = staged
    stopped, last = whole[3][0], whole[4]
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(4, stopped)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        restored = checkpoints.restore(jax.tree.map(jnp.zeros_like, begin))
    (resumed,) = run(restored, step, count=1)
    assert jax.tree.all(jax.tree.map(np.array_equal, resumed, last))
    assert changed(stopped.params, resumed[0].params)


def test_frozen_batch_norms_use_their_running_statistics(staged):
    """Those of the backbone, as in prediction; those of the pyramid, which are trainable, use the batch's."""
    state, step = staged
    _, metrics = step(state, mixed(), phase=0)
    model = nnx.view(build(STAGED.model), only=lambda path, _: path[:1] == ("fpn",), use_running_average=False)
    key = jax.random.fold_in(jax.random.key(STAGED.run.seed), 0)
    losses = jit(compute_losses, static_argnums=(3, 4))(model, mixed(), key, STAGED.losses, STAGED.sampling)
    for name, value in losses.items():
        np.testing.assert_allclose(metrics[f"loss/{name}"], value, rtol=1e-5)
    assert losses["box"] > 0


def test_no_backward_pass_through_what_is_frozen():
    """Stem and first stage frozen, as in Detectron2, at first: fewer FLOPs in that phase."""
    state, step = start(build(), change(CONFIG, optimizer__phases=(Phase("3+", until=2), Phase("all"))))
    lower = jax.jit(step, static_argnames="phase").lower
    less, all_of_it = (lower(state, mixed(), phase=phase).cost_analysis()["flops"] for phase in (0, 1))
    # Forward, a 3×3 convolution of 8 channels on 16² cells costs 2 · 9 · 8 · 8 · 16² FLOPs, less at the borders; layer1
    # has four, and their backward pass costs twice that, of 4 images.
    assert all_of_it - less > 0.8 * 4 * 4 * 2 * (2 * 9 * 8 * 8 * 16**2)


def test_no_momentum_for_frozen_parameters():
    config = change(CONFIG, optimizer__phases=(Phase("heads", until=2), Phase("3+")))
    state = jax.eval_shape(lambda model: start(model, config)[0], abstract(config.model))
    traces = [leaf.shape for leaf in jax.tree.leaves(state.optimizer)]
    trained = [v.shape for n, v in state.params.items() if not n.startswith(("backbone.stem", "backbone.layer1"))]
    assert sorted(traces) == sorted(trained)
