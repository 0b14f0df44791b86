"""The three heads: order of their outputs, parameter counts, and the transposed convolution."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from random_weights import fill

from maskrcnn_jax.nn import params as weights
from maskrcnn_jax.nn.heads.box import BoxHead
from maskrcnn_jax.nn.heads.mask import MaskHead, Upsample, own_class
from maskrcnn_jax.nn.heads.rpn import RPN
from maskrcnn_jax.ops.anchors import AnchorConfig

ANCHORS = AnchorConfig(aspect_ratios=(0.5, 1.0, 2.0))
ROIS = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 3, 3, 2)), jnp.float32)

call = jax.jit(lambda module, x: module(x))


def rpn_head(inputs=2, channels=2, convs=0, dtype=jnp.float32):
    return RPN(convs, channels, ANCHORS).build(inputs, dtype=dtype, rngs=nnx.Rngs(0))


def box_head(channels=2, pool_size=3, convs=0, fcs=(), classes=3, outputs=3, dtype=jnp.float32, **fields):
    config = BoxHead(pool_size=pool_size, convs=convs, fcs=fcs, **fields)
    return config.build(channels, classes, outputs, dtype=dtype, rngs=nnx.Rngs(0))


def mask_head(inputs=2, channels=4, convs=1, classes=3, outputs=3, dtype=jnp.float32, **fields):
    config = MaskHead(convs=convs, channels=channels, **fields)
    return config.build(inputs, classes, outputs, dtype=dtype, rngs=nnx.Rngs(0))


def count(make):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(nnx.eval_shape(make), nnx.Param)))


def minus_identity():
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[1, 1] = -1
    return jnp.asarray(kernel)


def test_parameters_are_those_of_torchvision():
    # 3×3 256 → 256, 1×1 to 3 logits and to 12 deltas.
    assert count(lambda: rpn_head(256, 256, 1)) == 590_080 + 771 + 3_084
    # 7 · 7 · 256 → 1024 → 1024, to 91 classes and their 364 box numbers.
    assert count(lambda: box_head(256, 7, 0, (1024, 1024), 90, 91)) == 12_846_080 + 1_049_600 + 93_275 + 373_100
    # Four 3×3, the 2×2 transposed convolution, 1×1 to 91 masks.
    assert count(lambda: mask_head(256, 256, 4, 90, 91)) == 4 * 590_080 + 262_400 + 23_387


def test_parameters_are_those_of_matterport():
    # 3×3 256 → 512, 1×1 to 2 logits and to 4 deltas for each of 3 anchors: here only one logit, their difference.
    assert count(lambda: rpn_head(256, 512, 1)) == (9 * 256 * 512 + 512) + (512 * 3 + 3) + (512 * 12 + 12)
    # 7×7 256 → 1024, 1×1 1024 → 1024, each without bias before gamma and beta; to 81 classes and their 324 box numbers.
    with_norms = count(lambda: box_head(256, 7, 0, (1024, 1024), 80, 81, fc_norm="batch"))
    assert with_norms == (49 * 256 * 1024 + 2048) + (1024 * 1024 + 2048) + (1024 * 81 + 81) + (1024 * 324 + 324)


def test_rpn_output_is_ordered_by_level_cell_and_anchor():
    head = fill(lambda: rpn_head())
    # Channel 0 of a feature is its position, channel 1 is 1. Anchor a adds a tenths, number k of its box k hundredths.
    place = jnp.array([1.0, 0])[:, None]
    anchor = jnp.array([0.0, 1])[:, None] * jnp.arange(3.0)[None] / 10
    number = (
        jnp.array([0.0, 1])[:, None] * (jnp.repeat(jnp.arange(3.0), 4) / 10 + jnp.tile(jnp.arange(4.0), 3) / 100)[None]
    )
    head.logits.kernel[...] = (place + anchor)[None, None]
    head.deltas.kernel[...] = (place + number)[None, None]
    features, logits, deltas = [], [], []
    for level, (height, width) in enumerate(((2, 3), (1, 2))):
        feature = np.ones((2, height, width, 2), np.float32)
        for image, row, column in np.ndindex(2, height, width):
            feature[image, row, column, 0] = 1000 * image + 100 * level + 10 * row + column
        features.append(jnp.asarray(feature))
        for row in range(height):
            for column in range(width):
                for a in range(3):
                    logits.append(100 * level + 10 * row + column + a / 10)
                    deltas.append([100 * level + 10 * row + column + a / 10 + k / 100 for k in range(4)])
    got_logits, got_deltas = call(head, features)
    for image in range(2):
        np.testing.assert_allclose(got_logits[image], np.array(logits) + 1000 * image, atol=1e-3)
        np.testing.assert_allclose(got_deltas[image], np.array(deltas) + 1000 * image, atol=1e-3)


def test_rpn_shares_its_weights_between_levels():
    head = fill(lambda: rpn_head(convs=2))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 5, 2)), jnp.float32)
    logits, deltas = call(head, (x, x))
    np.testing.assert_array_equal(logits[:, :60], logits[:, 60:])
    np.testing.assert_array_equal(deltas[:, :60], deltas[:, 60:])


def test_rpn_has_a_relu_after_each_convolution():
    head = fill(lambda: rpn_head(1, 1, convs=2))
    head.logits.kernel[...] = jnp.ones((1, 1, 1, 3))
    # Centre taps of -1: relu(-relu(-x)) is 0 for every x. Without the first ReLU it would be relu(x).
    for conv in head.convs:
        conv.kernel[...] = minus_identity()
    logits, _ = call(head, (jnp.array([[[[5.0], [-5.0]]]]),))
    np.testing.assert_array_equal(logits, np.zeros((1, 6)))


def test_box_head_flattens_row_column_channel():
    head = fill(lambda: box_head(classes=17))
    # Logit i reads number i of the flattened roi.
    head.logits.kernel[...] = jnp.eye(18)
    x = np.zeros((1, 2, 3, 3, 2), np.float32)
    for roi, row, column, channel in np.ndindex(2, 3, 3, 2):
        x[0, roi, row, column, channel] = 1000 * roi + 100 * row + 10 * column + channel
    logits, _ = call(head, jnp.asarray(x))
    one = [100 * row + 10 * column + channel for row in range(3) for column in range(3) for channel in range(2)]
    np.testing.assert_array_equal(logits, [[one, [1000 + v for v in one]]])


def test_box_head_has_four_deltas_per_class():
    head = fill(lambda: box_head())
    head.deltas.bias[...] = jnp.arange(12.0)
    _, deltas = call(head, jnp.zeros((2, 5, 3, 3, 2)))
    np.testing.assert_array_equal(deltas, np.broadcast_to(np.arange(12.0).reshape(3, 4), (2, 5, 3, 4)))


def test_box_head_has_a_relu_after_each_layer():
    head = fill(lambda: box_head(channels=1, pool_size=1, convs=1, fcs=(1, 1), classes=0))
    head.convs[0].conv.kernel[...] = minus_identity()
    for fc in (*head.fcs, head.logits):
        fc.kernel[...] = jnp.full((1, 1), 2.0)
    head.fcs[0].bias[...] = jnp.array([-3.0])
    # relu(-x) → relu(2 · - 3) → relu(2 ·) → 2 ·: of -4 stays 4, 5, 10, 20; of 4 nothing.
    logits, _ = call(head, jnp.array([-4.0, 4, -1]).reshape(1, 3, 1, 1, 1))
    np.testing.assert_array_equal(logits, [[[20], [0], [0]]])


def test_box_head_without_norm_has_the_same_layer_names():
    _, params, _ = weights.flatten(nnx.eval_shape(lambda: box_head(fcs=(8, 8))))
    layers = ("fcs.0", "fcs.1", "logits", "deltas")
    assert set(params) == {f"{layer}.{part}" for layer in layers for part in ("kernel", "bias")}


def test_fully_connected_layer_before_a_norm_has_no_bias():
    _, params, statistics = weights.flatten(nnx.eval_shape(lambda: box_head(fcs=(8,), fc_norm="batch")))
    assert {name for name in params if not name.startswith(("logits", "deltas"))} == {
        "fcs.0.kernel",
        "norms.0.scale",
        "norms.0.bias",
    }
    assert set(statistics) == {"norms.0.mean", "norms.0.var"}


def test_box_head_normalises_each_fully_connected_layer():
    head = fill(lambda: box_head(channels=1, pool_size=1, fcs=(2, 1), classes=0, fc_norm="frozen_batch", norm_eps=3.0))
    head.fcs[0].kernel[...], head.fcs[1].kernel[...] = jnp.array([[1.0, -1]]), jnp.array([[1.0], [10]])
    head.norms[0].mean[...], head.norms[0].scale[...] = jnp.array([1.0, 0]), jnp.array([4.0, 1])
    head.norms[1].bias[...] = jnp.array([1.0])
    head.logits.kernel[...] = jnp.ones((1, 1))
    # Variance 1 and eps 3 halve. Of 5: 5, -5 → (5 - 1) / 2 · 4 = 8, relu(-2.5) = 0 → 8 / 2 + 1 = 5.
    # Of -4: relu((-4 - 1) / 2 · 4) = 0, 4 / 2 = 2 → 20 / 2 + 1 = 11.
    logits, _ = call(head, jnp.array([5.0, -4]).reshape(2, 1, 1, 1, 1))
    np.testing.assert_allclose(logits, [[[5]], [[11]]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["group", "batch", "frozen_batch"])
def test_norms_of_the_box_head_do_not_mix_rois(kind):
    head = fill(lambda: box_head(fcs=(64,), fc_norm=kind))
    np.testing.assert_allclose(call(head, ROIS[:, 1:])[0][0, 0], call(head, ROIS)[0][0, 1], atol=1e-5)


def test_norms_of_the_heads_have_the_given_eps():
    frozen = "frozen_batch"
    box = nnx.eval_shape(lambda: box_head(convs=1, fcs=(8, 8), norm=frozen, fc_norm=frozen, norm_eps=0.25))
    mask = nnx.eval_shape(lambda: mask_head(convs=2, norm=frozen, norm_eps=0.25))
    norms = [*box.norms, *(unit.norm for unit in (*box.convs, *mask.convs))]
    assert [norm.eps for norm in norms] == [0.25] * 5


def test_upsample_equals_the_definition():
    upsample = fill(lambda: Upsample(3, 2, dtype=jnp.float32, rngs=nnx.Rngs(0)))
    upsample.bias[...] = jnp.array([0.5, -1])
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype(np.float32)
    # [in, row, column, out]: each input cell becomes four cells.
    kernel = np.asarray(upsample.conv.kernel[...]).reshape(3, 2, 2, 2)
    expected = np.tile([0.5, -1], (2, 6, 8, 1))
    for b, i, j, c in np.ndindex(x.shape):
        for di, dj, o in np.ndindex(2, 2, 2):
            expected[b, 2 * i + di, 2 * j + dj, o] += x[b, i, j, c] * kernel[c, di, dj, o]
    np.testing.assert_allclose(call(upsample, jnp.asarray(x)), expected, atol=1e-5)


def test_upsample_is_the_library_transposed_convolution():
    upsample = fill(lambda: Upsample(3, 2, dtype=jnp.float32, rngs=nnx.Rngs(0)))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 5, 3)), jnp.float32)
    kernel = upsample.conv.kernel[...].reshape(3, 2, 2, 2).transpose(1, 2, 0, 3)
    # PyTorch's is the gradient of a convolution; JAX flips the kernel only with `transpose_kernel`.
    expected = jax.lax.conv_transpose(
        x, kernel[::-1, ::-1], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(upsample(x), expected[:, :8, :10], atol=1e-5)


def test_mask_head_doubles_the_grid_of_each_roi():
    head = fill(lambda: mask_head())
    rois = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5, 5, 2)), jnp.float32)
    logits = call(head, rois)
    assert logits.shape == (2, 3, 10, 10, 3)
    # RoIs are independent.
    np.testing.assert_allclose(call(head, rois[1:, 2:])[0, 0], logits[1, 2], atol=1e-6)


def test_mask_head_without_convolutions():
    assert call(fill(lambda: mask_head(inputs=2, channels=4, convs=0)), jnp.ones((1, 2, 3, 3, 2))).shape == (
        1,
        2,
        6,
        6,
        3,
    )


@pytest.mark.parametrize("norm", ["none", "group", "batch", "frozen_batch"])
def test_every_head_outputs_float32(norm):
    heads = (
        (lambda: rpn_head(convs=1, dtype=jnp.bfloat16), (ROIS[0],)),
        (lambda: box_head(convs=1, fcs=(8,), norm=norm, fc_norm=norm, dtype=jnp.bfloat16), ROIS),
        (lambda: mask_head(norm=norm, dtype=jnp.bfloat16), ROIS),
    )
    for make, x in heads:
        outputs = jax.tree.leaves(jax.eval_shape(lambda head, x: head(x), nnx.eval_shape(make), x))
        assert {output.dtype for output in outputs} == {jnp.dtype(jnp.float32)}


def test_heads_compute_in_bfloat16():
    half = fill(lambda: box_head(convs=1, fcs=(8,), norm="group", dtype=jnp.bfloat16))
    full = fill(lambda: box_head(convs=1, fcs=(8,), norm="group"))
    for got, want in zip(call(half, ROIS), call(full, ROIS), strict=True):
        # Same weights, eight bits: close, but not equal.
        np.testing.assert_allclose(got, want, atol=0.03 * float(jnp.abs(want).max()))
        assert not np.array_equal(got, want)


def test_masks_of_the_own_class():
    logits = jnp.stack([jnp.zeros((1, 3, 2, 2)), jnp.full((1, 3, 2, 2), np.log(3.0))], axis=-1)
    # Class 0 has probability 1/2, class 1 3/4; background (2) shows class 0.
    masks = jax.nn.sigmoid(own_class(logits, jnp.array([[1, 0, 2]])))
    expected = np.broadcast_to(np.reshape([0.75, 0.5, 0.5], (1, 3, 1, 1)), (1, 3, 2, 2))
    np.testing.assert_allclose(masks, expected, rtol=1e-6)


def test_a_class_agnostic_mask_serves_every_class():
    values = jnp.arange(6.0).reshape(1, 3, 2, 1)
    np.testing.assert_array_equal(own_class(values, jnp.array([[1, 0, 2]])), [[[0, 1], [2, 3], [4, 5]]])
