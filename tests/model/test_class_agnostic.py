"""Heads with one box or one mask for all classes: every class gets its detections and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import CONFIG, abstract, build, change, mixed

from maskrcnn_jax.config import ConfigError, DetectConfig
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.model.stages import select_class_candidates
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.structs import BoxOutput, Rois
from maskrcnn_jax.training.step import compute_losses

AGNOSTIC = change(CONFIG.model, box_head__class_agnostic=True, mask_head__class_agnostic=True)


def test_there_is_one_output_for_all_classes():
    images, sizes = jnp.zeros((2, 64, 64, 3)), jnp.full((2, 2), 64.0)
    trace = jax.eval_shape(forward, abstract(AGNOSTIC), images, sizes)
    assert trace.box.logits.shape == (2, 12, 4) and trace.box.deltas.shape == (2, 12, 1, 4)
    assert trace.mask_logits.shape == (2, 8, 28, 28, 1)
    assert trace.detections.masks.shape == (2, 8, 28, 28)


def test_the_box_serves_each_class():
    rois = Rois(jnp.array([[0.0, 0, 10, 10]]), jnp.array([True]), jnp.array([3]), jnp.array([0]))
    # dx = 0.1 shifts the centre by a tenth of the width, 1 pixel, for every class
    box = BoxOutput(jnp.log(jnp.array([[0.4, 0.1, 0.3, 0.2]])), jnp.array([[[0.1, 0, 0, 0]]]))
    config = DetectConfig(score_threshold=0.2, count=4, top_k=4)
    found = select_class_candidates(rois, box, jnp.array([0.0, 0, 64, 64]), (1.0, 1.0, 1.0, 1.0), None, config)
    assert found.labels[found.valid].tolist() == [0, 2]
    np.testing.assert_allclose(found.boxes[found.valid], [[1, 0, 11, 10]] * 2, atol=1e-5)


def test_objects_of_all_classes_give_gradients():
    config = change(CONFIG, model=AGNOSTIC)
    structure, params, statistics = flatten(build(AGNOSTIC))
    batch = mixed()  # has objects of classes 0, 1 and 2

    def loss(params, name, labels):
        truth = batch.ground_truth._replace(labels=labels)
        model = unflatten(structure, params, statistics)
        some = batch._replace(ground_truth=truth)
        return compute_losses(model, some, jax.random.key(0), config.losses, config.sampling)[name]

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    for name, array in (("box", "box_head.deltas.kernel"), ("mask", "mask_head.logits.kernel")):
        found = [gradient(params, name, jnp.full_like(batch.ground_truth.labels, label))[array] for label in range(3)]
        assert all(np.abs(f).max() > 0 for f in found)
        np.testing.assert_allclose(found[0], found[2], rtol=1e-4, atol=1e-7)  # the class does not matter


@pytest.mark.parametrize("head", ["box_head", "mask_head"])
def test_a_head_whose_outputs_differ_from_the_configuration_is_named(head: str):
    model = abstract(CONFIG.model)
    setattr(model, head, getattr(abstract(AGNOSTIC), head))
    images, sizes = jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64.0)
    with pytest.raises(ConfigError, match=rf"model\.{head}\.class_agnostic = False"):
        jax.eval_shape(forward, model, images, sizes)
