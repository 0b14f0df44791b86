"""What the backward pass computes again changes nothing but memory."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params
from small import CONFIG, abstract, build, change, jit, mixed

from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.training.rematerialization import Rematerialized, rematerialized
from maskrcnn_jax.training.step import start

PARTS = ("backbone.layer1", "backbone.layer4.1", "mask_head")


def operations(jaxpr) -> Counter[str]:
    """How often each primitive stands in a program."""
    inside = [operations(inner) for equation in jaxpr.eqns for inner in jaxprs_in_params(equation.params)]
    return sum(inside, Counter(equation.primitive.name for equation in jaxpr.eqns))


def step_operations(parts: tuple[str, ...]) -> Counter[str]:
    def one_step(model, batch):
        state, step = start(model, change(CONFIG, run__rematerialize=parts))
        return step(state, batch)

    return operations(jax.make_jaxpr(one_step)(abstract(CONFIG.model), mixed()).jaxpr)


def test_gradients_and_statistics_are_the_same():
    """Of a backbone whose batch norms use the batch's statistics and update their own."""
    structure, params, statistics = flatten(nnx.view(build(), use_running_average=False))
    pixels = jnp.asarray(mixed().images, jnp.float32) / 255

    def objective(params, parts):
        model = unflatten(structure, params, statistics)
        with rematerialized(model, parts):
            loss = sum(jnp.mean(level**2) for level in model.backbone(pixels))
        return loss, flatten(model)[2]

    gradients = jit(jax.grad(objective, has_aux=True), static_argnums=1)
    expected, found = gradients(params, ()), gradients(params, PARTS)
    for theirs, mine in zip(expected, found, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_allclose(mine[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert np.abs(found[0]["backbone.layer1.0.convs.0.conv.kernel"]).max() > 0.001
    assert np.abs(found[1]["backbone.layer1.0.convs.0.norm.mean"]).max() > 0.001


def test_what_is_named_is_computed_again_and_nothing_else():
    """Two blocks of layer1 with two convolutions of 3×3 each, one of layer4 with two, and a mask head of one: 7."""
    kept, again = step_operations(()), step_operations(PARTS)
    assert again["conv_general_dilated"] - kept["conv_general_dilated"] == 7
    assert again["remat2"] == 4 and kept["remat2"] == 0


def test_outside_of_the_context_the_model_is_as_it_was():
    model = abstract(CONFIG.model)
    before, mask_head = flatten(model), model.mask_head
    with rematerialized(model, PARTS):
        assert [type(block) for block in model.backbone.layer1] == [Rematerialized] * 2
        assert isinstance(model.backbone.layer4[1], Rematerialized) and model.mask_head.part is mask_head
        assert not isinstance(model.backbone.layer4[0], Rematerialized)
    assert flatten(model) == before and model.mask_head is mask_head


@pytest.mark.parametrize("name", ["backbone.layer5", "backbone.layer1.7", "nms", "backbone.channels"])
def test_a_part_that_does_not_exist_is_named(name: str):
    with (
        pytest.raises(ConfigError, match=rf"run.rematerialize: the model has no part '{name}'; give dotted names"),
        rematerialized(abstract(CONFIG.model), (name,)),
    ):
        pass
