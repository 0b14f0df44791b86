"""Schedules by arithmetic; updates equal to PyTorch's rules written out in NumPy."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from small import change

from maskrcnn_jax.config import Backbone, ConfigError, OptimizerConfig, Phase, ResNet
from maskrcnn_jax.training.optimizer import factors, learning_rate, make_optimizer, phase_after, trainable_names

PLAIN = OptimizerConfig(learning_rate=0.1, warmup_steps=0, milestones=(), weight_decay=0.0)
EQUAL = {"kernel": 1.0, "bias": 1.0}


def rates(config: OptimizerConfig, steps: int, at: list[int]) -> list[float]:
    schedule = learning_rate(config, steps)
    return [float(schedule(jnp.asarray(step))) for step in at]


def test_steps_after_warm_up():
    config = OptimizerConfig(learning_rate=0.02, warmup_steps=10, warmup_start=0.001, milestones=(60.0, 80.0))
    expected = [
        0.02 * 0.001,
        0.02 * (0.001 + 0.999 * 0.5),  # half way
        0.02,
        0.02,
        0.002,  # from the milestone on
        0.002,
        0.0002,
    ]
    np.testing.assert_allclose(rates(config, 90, [0, 5, 10, 59, 60, 79, 80]), expected, rtol=1e-6)


def test_milestone_within_the_warm_up():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=10, warmup_start=0.0, milestones=(5.0,))
    np.testing.assert_allclose(rates(config, 20, [4, 5, 10]), [0.4, 0.05, 0.1], rtol=1e-6)


def test_cosine_after_warm_up():
    config = OptimizerConfig(learning_rate=0.4, schedule="cosine", warmup_steps=2, warmup_start=0.5)
    # 0.4 · (1 + cos(π step / 12)) / 2, times 0.5 and 0.75 during the warm-up.
    expected = [0.2, 0.75 * 0.2 * (1 + math.cos(math.pi / 12)), 0.2 * (1 + math.cos(math.pi / 6)), 0.2, 0.0]
    np.testing.assert_allclose(rates(config, 12, [0, 1, 2, 6, 12]), expected, atol=1e-7)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_no_warm_up(schedule):
    assert rates(change(PLAIN, schedule=schedule), 10, [0]) == [pytest.approx(0.1)]


PHASES = (Phase("heads", until=10), Phase("4+", until=30, rate=0.5), Phase(rate=0.1))


def test_each_phase_scales_the_rate():
    config = change(PLAIN, learning_rate=0.2, phases=PHASES)
    np.testing.assert_allclose(rates(config, 50, [0, 9, 10, 29, 30, 49]), [0.2, 0.2, 0.1, 0.1, 0.02, 0.02], rtol=1e-6)
    # Half way through the warm-up, in the second phase, after a milestone: 0.2 · 0.5 · 0.5 · 0.1.
    config = change(config, warmup_steps=40, warmup_start=0.0, milestones=(15.0,))
    np.testing.assert_allclose(rates(config, 50, [20]), [0.005], rtol=1e-6)


def test_a_phase_holds_until_its_last_step():
    config = change(PLAIN, phases=PHASES)
    assert [phase_after(config, steps) for steps in (0, 9, 10, 29, 30, 10_000)] == [0, 0, 1, 1, 2, 2]
    assert phase_after(PLAIN, 5) == 0


NAMES = [
    "backbone.stem.conv.kernel",
    "backbone.layer1.0.convs.0.conv.kernel",
    "backbone.layer2.0.convs.0.conv.kernel",
    "backbone.layer3.0.convs.0.conv.kernel",
    "backbone.layer4.1.convs.0.conv.kernel",
    "fpn.output.0.conv.kernel",
    "rpn_head.logits.bias",
    "box_head.logits.kernel",
    "mask_head.logits.kernel",
]


@pytest.mark.parametrize(
    ("trains", "first"),
    [("all", 0), ("2+", 0), ("3+", 2), ("4+", 3), ("5+", 4), ("heads", 5), (r"box_head|mask_head", 7), (r".*mask", 8)],
)
def test_what_a_phase_trains(trains: str, first: int):
    """Matterport's names: stage 3 is what makes C3, of half the resolution of layer1's C2."""
    assert trainable_names(NAMES, change(PLAIN, phases=(Phase(trains),)), ResNet()) == [set(NAMES[first:])]


@pytest.mark.parametrize("trains", ["head", "4", "6+", "stem", "kernel"])
def test_a_phase_that_trains_nothing_is_told_what_there_is(trains: str):
    config = change(PLAIN, phases=(Phase("heads", until=5), Phase(trains)))
    message = f"optimizer.phases[1].trains = {trains!r} matches no parameter; give heads, 5+, 4+, 3+, all, or a regular"
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        trainable_names(NAMES, config, ResNet())
    assert str(caught.value).endswith(f"for names like {', '.join(NAMES[4:])}")


@dataclass(frozen=True)
class TwoStages(Backbone):
    stages: ClassVar = {"early": ("patches", "blocks.0"), "late": ("blocks.1", "blocks.10")}


def test_a_backbone_of_another_kind_declares_its_stages():
    """`blocks.1` and `blocks.10` are two parts: names are compared part by part."""
    names = [f"backbone.{part}.kernel" for part in ("patches", "blocks.0", "blocks.1", "blocks.10")] + ["fpn.kernel"]
    assert trainable_names(names, change(PLAIN, phases=(Phase("late+"),)), TwoStages()) == [set(names[2:])]
    with pytest.raises(
        ConfigError, match=r"trains = '3\+' matches no parameter; give heads, late\+, all, or a regular"
    ):
        trainable_names(names, change(PLAIN, phases=(Phase("3+"),)), TwoStages())


def test_stages_that_are_not_those_of_the_parameters_are_an_error():
    """What `customize` puts in place of the backbone has other names, of which none would be frozen."""
    config = change(PLAIN, phases=(Phase("3+"),))
    with pytest.raises(ConfigError, match=r"do not cover the parameters of the backbone, such as embed\.kernel"):
        trainable_names(["backbone.embed.kernel", "fpn.kernel"], config, ResNet())
    with pytest.raises(ConfigError, match=r"no parameter under 'backbone\.', so nothing is frozen"):
        trainable_names(["body.kernel"], change(PLAIN, phases=(Phase("heads"),)), ResNet())


def test_first_matching_group_decides():
    names = ["backbone.stem.conv.kernel", "backbone.layer1.0.conv.kernel", "fpn.output.0.conv.bias"]
    config = change(PLAIN, groups=((r"backbone\.stem", 0.5), (r"backbone", 0.1)))
    assert factors(names, config) == dict(zip(names, [0.5, 0.1, 1.0], strict=True))
    # From the start of the name, not anywhere in it.
    with pytest.raises(ValueError, match=r"groups\[0\] = 'stem' matches no parameter.*backbone\.layer1\.0\.conv"):
        factors(names, change(PLAIN, groups=(("stem", 0.5),)))


def test_group_that_earlier_groups_leave_nothing():
    config = change(PLAIN, groups=((r"backbone", 0.1), (r"backbone\.stem", 0.5)))
    with pytest.raises(ValueError, match=r"groups\[1\].*that an earlier group leaves over"):
        factors(["backbone.stem.conv.kernel", "fpn.bias"], config)


def run(config: OptimizerConfig, gradients: list[dict], factor=EQUAL) -> dict[str, np.ndarray]:
    """Parameters, all 1 at first, after one update per gradient; what has no gradient stays."""
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    optimizer, rate = make_optimizer(config, factor, [set(g) for g in gradients]), learning_rate(config, 100)
    state = optimizer.init(params)
    for step, gradient in enumerate(gradients):
        gradient = {name: jnp.full(params[name].shape, value) for name, value in gradient.items()}
        updates, state = optimizer.update(gradient, state, params)
        params |= {name: params[name] - rate(step) * update for name, update in updates.items()}
    return {name: np.asarray(value) for name, value in params.items()}


GRADIENTS = [{"kernel": 0.5, "bias": 0.5}, {"kernel": -1.0, "bias": 2.0}, {"kernel": 0.25, "bias": 0.0}]


def test_sgd_is_pytorchs():
    """Three steps of torch.optim.SGD: the rate falls to a tenth at the third, the buffer is not scaled by it."""
    config = change(PLAIN, momentum=0.9, weight_decay=0.2, milestones=(2.0,))
    expected = {}
    for name, decay in (("kernel", 0.2), ("bias", 0.0)):
        p, buffer = 1.0, 0.0
        for rate, gradient in zip((0.1, 0.1, 0.01), GRADIENTS, strict=True):
            buffer = 0.9 * buffer + gradient[name] + decay * p
            p -= rate * buffer
        expected[name] = p
    # The first steps in full: the kernel's is 0.1 · (0.5 + 0.2 · 1), the bias's 0.1 · 0.5.
    first = run(config, GRADIENTS[:1])
    np.testing.assert_allclose(first["kernel"], 0.93, rtol=1e-6)
    np.testing.assert_allclose(first["bias"], 0.95, rtol=1e-6)
    for name, value in run(config, GRADIENTS).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


def test_adamw_is_pytorchs():
    """Three steps of torch.optim.AdamW: p −= rate · (m̂ / (√v̂ + 1e-8) + decay · p), no decay of vectors."""
    config = change(PLAIN, name="adamw", momentum=0.8, beta2=0.95, weight_decay=0.2)
    for name, found in run(config, GRADIENTS).items():
        p, m, v, decay = 1.0, 0.0, 0.0, 0.2 if name == "kernel" else 0.0
        for t, gradient in enumerate(GRADIENTS, start=1):
            m, v = 0.8 * m + 0.2 * gradient[name], 0.95 * v + 0.05 * gradient[name] ** 2
            p -= 0.1 * (m / (1 - 0.8**t) / (math.sqrt(v / (1 - 0.95**t)) + 1e-8) + decay * p)
        np.testing.assert_allclose(found, p, rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_parameters_trained_later_begin_with_a_fresh_state(name):
    """As an optimizer per parameter, like PyTorch's: no count of steps and no moment from before."""
    config = change(PLAIN, name=name, weight_decay=0.2)
    late = run(config, [{"bias": 3.0}, {"bias": -2.0}, *GRADIENTS[:2]])
    np.testing.assert_array_equal(late["kernel"], run(config, GRADIENTS[:2])["kernel"])
    early = run(config, [{"bias": 3.0}, {"bias": -2.0}, *({"bias": g["bias"]} for g in GRADIENTS[:2])])
    np.testing.assert_array_equal(late["bias"], early["bias"])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_who_pauses_continues_where_it_was(name):
    config = change(PLAIN, name=name)
    kernels = [{"kernel": g["kernel"]} for g in GRADIENTS]
    paused = run(config, [kernels[0], {"bias": 1.0}, {"bias": 1.0}, *kernels[1:]])
    np.testing.assert_array_equal(paused["kernel"], run(config, kernels)["kernel"])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_group_factor_scales_the_whole_update(name):
    config = change(PLAIN, name=name, weight_decay=0.2)
    whole, scaled = (run(config, GRADIENTS[:1], {"kernel": f, "bias": 1.0}) for f in (1.0, 0.25))
    np.testing.assert_allclose(1 - scaled["kernel"], 0.25 * (1 - whole["kernel"]), rtol=1e-5)
    np.testing.assert_array_equal(scaled["bias"], whole["bias"])


def test_clipping_bounds_the_norm_over_all_parameters():
    # Four entries of 3 and two of 0: the norm is 6, so a bound of 1.5 quarters all; a bound of 7 changes nothing.
    gradient = [{"kernel": 3.0, "bias": 0.0}]
    np.testing.assert_allclose(run(change(PLAIN, clip_norm=1.5), gradient)["kernel"], 1 - 0.1 * 0.75, rtol=1e-6)
    np.testing.assert_allclose(run(change(PLAIN, clip_norm=7.0), gradient)["kernel"], 1 - 0.1 * 3.0, rtol=1e-6)


def test_clipping_comes_before_the_decay():
    # 3 is clipped to 0.75, then 0.2 · 1 is added.
    config = change(PLAIN, clip_norm=1.5, weight_decay=0.2)
    np.testing.assert_allclose(run(config, [{"kernel": 3.0, "bias": 0.0}])["kernel"], 1 - 0.1 * 0.95, rtol=1e-6)
