"""Models split into parameters by name and merged again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from small import CONFIG, abstract, build, change

from maskrcnn_jax.nn.params import flatten, replace, unflatten


@pytest.fixture(scope="module")
def model():
    return build()


def test_names_are_paths_of_attributes(model):
    _, params, statistics = flatten(model)
    block = model.backbone.layer2[1].convs[0]
    assert params["backbone.layer2.1.convs.0.conv.kernel"] is block.conv.kernel[...]
    assert statistics["backbone.layer2.1.convs.0.norm.mean"] is block.norm.mean[...]
    assert set(params) & set(statistics) == set()
    count = len(jax.tree.leaves(nnx.state(model)))
    assert len(params) + len(statistics) == count


def test_statistics_are_not_parameters(model):
    _, params, statistics = flatten(model)
    assert {name.rsplit(".", 1)[1] for name in statistics} == {"mean", "var"}
    assert {name.rsplit(".", 1)[1] for name in params} == {"kernel", "bias", "scale"}
    # Frozen batch norm has no parameters at all.
    _, params, statistics = flatten(abstract(change(CONFIG.model, backbone__norm="frozen_batch")))
    assert not [name for name in params if ".norm." in name]
    assert {name.rsplit(".", 1)[1] for name in statistics} == {"mean", "var", "scale", "bias"}


def test_model_without_statistics():
    structure, params, statistics = flatten(abstract(change(CONFIG.model, backbone__norm="group")))
    assert statistics == {}
    assert flatten(unflatten(structure, params, statistics))[1].keys() == params.keys()


def test_merge_undoes_split(model):
    structure, params, statistics = flatten(model)
    again = flatten(unflatten(structure, params, statistics))
    assert again[0] == structure
    for mine, theirs in ((params, again[1]), (statistics, again[2])):
        assert mine.keys() == theirs.keys()
        assert all(mine[name] is theirs[name] for name in mine)


def test_replace_does_not_change_the_original(model):
    _, params, statistics = flatten(model)
    params = {name: jnp.full_like(value, 2.0) for name, value in params.items()}
    statistics = {name: jnp.full_like(value, 3.0) for name, value in statistics.items()}
    other = replace(model, params, statistics)
    np.testing.assert_array_equal(other.box_head.logits.bias[...], 2.0)
    np.testing.assert_array_equal(other.backbone.stem.norm.var[...], 3.0)
    assert other.config == model.config
    np.testing.assert_array_equal(model.box_head.logits.bias[...], 0.0)


def test_weights_of_another_architecture_list_every_difference(model):
    """A model with batch norm and a box head of 32 channels, weights of group norm with 48 and a second layer."""
    other = abstract(change(CONFIG.model, backbone__norm="group", box_head__fcs=(48, 48)))
    with pytest.raises(ValueError, match="another architecture; take the configuration") as error:
        replace(model, *flatten(other)[1:])
    lines = [line.strip() for line in str(error.value).splitlines()[1:]]
    # A ResNet-18 has 20 norms: stem, 16 in blocks, 3 at shortcuts.
    assert sum(line.startswith("missing: backbone") for line in lines) == 20 * 2
    assert [line for line in lines if line.startswith("unexpected")] == [
        "unexpected: box_head.fcs.1.bias (48,)",
        "unexpected: box_head.fcs.1.kernel (48, 48)",
    ]
    assert [line for line in lines if line.startswith("shape")] == [
        "shape: box_head.deltas.kernel is (48, 12), the model has (32, 12)",
        "shape: box_head.fcs.0.bias is (48,), the model has (32,)",
        "shape: box_head.fcs.0.kernel is (784, 48), the model has (784, 32)",
        "shape: box_head.logits.kernel is (48, 4), the model has (32, 4)",
    ]
    assert len(lines) == 20 * 2 + 2 + 4
