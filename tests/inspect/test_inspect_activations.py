"""Outputs of modules inside the network, against running them by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from small import build, mixed

from maskrcnn_jax.inspect import activations, module_names
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, forward
from maskrcnn_jax.nn.backbones.resnet import max_pool
from maskrcnn_jax.ops.images import normalize, valid_regions

NAMES = ("backbone.stem", "backbone.layer2.1", "backbone.layer2.1.convs.0.conv", "fpn", "rpn_head.logits", "mask_head")
listen = jax.jit(activations, static_argnames="names", compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    return build()


@pytest.fixture(scope="module")
def found(model: MaskRCNN) -> dict:
    batch = mixed()
    return listen(model, batch.images, batch.image_sizes, NAMES)


def test_they_are_what_the_modules_return(model: MaskRCNN, found: dict):
    """The stem, two blocks and the convolution in the second, called one after the other."""
    batch = mixed()

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def by_hand(model):
        windows = valid_regions(batch.image_sizes, (64, 64), model.config.input)
        stem = model.backbone.stem(normalize(batch.images, windows, model.config.input))
        x = max_pool(nnx.relu(stem), 1)
        for block in [*model.backbone.layer1, model.backbone.layer2[0]]:
            x = block(x)
        return stem, model.backbone.layer2[1](x), model.backbone.layer2[1].convs[0].conv(x)

    for name, expected in zip(NAMES, by_hand(model), strict=False):
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_several_results_and_several_calls_are_tuples(model: MaskRCNN, found: dict):
    batch = mixed()
    trace = jax.jit(forward, compiler_options={"xla_backend_optimization_level": 0})(
        model, batch.images, batch.image_sizes
    )
    for level, expected in zip(found["fpn"], trace.features, strict=True):
        np.testing.assert_allclose(level, expected, rtol=1e-4, atol=1e-5)
    # The head is called for each of five levels; its outputs side by side are the trace's.
    logits = jnp.concatenate([level.reshape(4, -1) for level in found["rpn_head.logits"]], axis=1)
    assert len(found["rpn_head.logits"]) == 5
    np.testing.assert_allclose(logits, trace.rpn.logits, rtol=1e-4, atol=1e-5)
    assert found["mask_head"].shape == trace.mask_logits.shape


def test_the_model_stays_as_it_is(model: MaskRCNN):
    batch = mixed()
    before = dict(nnx.iter_modules(model))
    jax.eval_shape(partial(activations, names=NAMES), model, batch.images, batch.image_sizes)
    after = dict(nnx.iter_modules(model))
    assert before.keys() == after.keys() and all(before[path] is after[path] for path in before)


def test_later_modules_are_not_computed(model: MaskRCNN):
    batch = mixed()

    def multiplications(name: str) -> int:
        return str(listen.lower(model, batch.images, batch.image_sizes, (name,)).compile().as_text()).count(
            "convolution("
        )

    # The stem is one convolution; the three stages behind layer1 have two blocks of two convolutions or more each.
    assert multiplications("backbone.stem") == 1
    assert multiplications("backbone.layer1.1") == 5


def test_the_names_lead_to_modules(model: MaskRCNN):
    names = module_names(model)
    assert {*NAMES, "box_head.fcs.0", "backbone.layer3.0.shortcut", "backbone.stem.norm"} <= set(names)
    assert "backbone.layer3" not in names  # a list of blocks, which is not called
    batch = mixed()
    found = jax.eval_shape(partial(activations, names=tuple(names)), model, batch.images, batch.image_sizes)
    assert found.keys() == set(names)


def test_an_attribute_of_a_module_that_is_listened_to_can_be_read(model: MaskRCNN):
    class Head(nnx.Module):
        def __init__(self, inner):
            self.inner = inner

        def __call__(self, x):
            return self.inner(x) * len(self.inner.convs)

    batch, mine = mixed(), build()
    mine.mask_head = Head(mine.mask_head)
    names = ("mask_head.inner", "mask_head")
    found = jax.eval_shape(partial(activations, names=names), mine, batch.images, batch.image_sizes)
    assert found["mask_head.inner"].shape == found["mask_head"].shape == (4, 8, 28, 28, 3)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("backbone.layer3", r"did you mean backbone\.layer3\.0, backbone\.layer3\.1"),
        ("backbone.layer3.7", r"did you mean .*backbone\.layer3\.1"),
        ("stem", r"did you mean backbone\.stem\?"),
        ("backbone.stem.conv.kernel", r"did you mean .*backbone\.stem\.conv"),
        ("zzz", "its parts are backbone, box_head, fpn, mask_head, rpn_head"),
        ("", "its parts are backbone"),
    ],
)
def test_a_wrong_name_gets_those_that_are_meant(model: MaskRCNN, name: str, hint: str):
    batch = mixed()
    with pytest.raises(ValueError, match=f"no module '{name}' that returns something; {hint}"):
        activations(model, batch.images, batch.image_sizes, [name])


def test_a_module_that_is_not_called_is_named(model: MaskRCNN):
    batch, mine = mixed(), build()
    mine.fpn.spare = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"does not call fpn\.spare"):
        jax.eval_shape(lambda m: activations(m, batch.images, batch.image_sizes, ["fpn.spare", "backbone.stem"]), mine)
