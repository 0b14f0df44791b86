"""FLOPs of small functions, counted by hand. A product of [m, k] and [k, n] is 2·m·k·n."""

import jax
import jax.numpy as jnp
import pytest
from small import CONFIG, change

from maskrcnn_jax.config import Phase
from maskrcnn_jax.plan.arithmetic import model_flops
from maskrcnn_jax.plan.programs import losses_flops


def form(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


X, W, V = form(3, 4), form(4, 5), form(5, 6)
FIRST, SECOND = 2 * 3 * 4 * 5, 2 * 3 * 5 * 6
"""x·w and (x·w)·v."""


def chain(trainable, frozen, x):
    weights = trainable | frozen
    return jnp.tanh(x @ weights["w"]) @ weights["v"]


@pytest.mark.parametrize(
    ("trainable", "frozen", "expected"),
    [
        ({}, {"w": W, "v": V}, FIRST + SECOND),
        # The first product has data on its left: forward, and the gradient of w. The second has all three.
        ({"w": W, "v": V}, {}, 2 * FIRST + 3 * SECOND),
        # Nothing below v is trained: no gradient passes it.
        ({"v": V}, {"w": W}, FIRST + 2 * SECOND),
        # v is frozen, but the gradient of w must pass it.
        ({"w": W}, {"v": V}, 2 * FIRST + 2 * SECOND),
    ],
    ids=["all frozen", "both trainable", "the last trainable", "the first trainable"],
)
def test_a_product_counts_for_its_result_and_for_each_gradient(trainable: dict, frozen: dict, expected: int):
    assert model_flops(chain, trainable, frozen, X) == expected


def test_the_count_of_the_compiler_for_value_and_gradient():
    """XLA's own count of the same program has the products and besides little: one FLOP for each addition and scale."""
    x, w, v = form(64, 128), form(128, 256), form(256, 32)

    def loss(weights, x):
        return jnp.sum(x @ weights["w"] @ weights["v"])

    compiled = jax.jit(jax.grad(lambda *a: jnp.sum(loss(*a) ** 2))).lower({"w": w, "v": v}, x).compile()
    ours = model_flops(lambda trainable, _, x: loss(trainable, x), {"w": w, "v": v}, {}, x)
    assert ours == 2 * 2 * 64 * 128 * 256 + 3 * 2 * 64 * 256 * 32
    assert 0.6 * ours < compiled.cost_analysis()["flops"] < 1.1 * ours


def test_products_of_data_are_not_the_models():
    assert model_flops(lambda trainable, frozen, x: x.T @ x + trainable["b"], {"b": form(4, 4)}, {}, X) == 0


def test_no_gradient_passes_a_stop():
    def function(trainable, frozen, x):
        return jax.lax.stop_gradient(x @ trainable["w"]) @ trainable["v"]

    assert model_flops(function, {"w": W, "v": V}, {}, X) == 2 * FIRST + 2 * SECOND


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, jax.vmap], ids=["jit", "checkpoint", "vmap"])
def test_inside_other_programs(wrap):
    """Recomputation counts once."""

    def function(trainable, frozen, x):
        return wrap(lambda x: jnp.tanh(x @ trainable["w"]))(x) @ trainable["v"]

    assert model_flops(function, {"w": W, "v": V}, {}, X) == 2 * FIRST + 3 * SECOND


def test_functions_with_custom_gradients_are_counted():
    @jax.custom_vjp
    def product(x, w):
        return x @ w

    product.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))
    assert model_flops(lambda trainable, _, x: product(x, trainable["w"]), {"w": W}, {}, X) == 2 * FIRST


def test_a_loop_counts_each_iteration():
    """From the second iteration on x depends on a trainable parameter: it is counted so in all of them."""

    def function(trainable, _, x):
        return jax.lax.scan(lambda x, _: (x @ trainable["s"], None), x, length=7)[0]

    assert model_flops(function, {"s": form(4, 4)}, {}, X) == 7 * 3 * 2 * 3 * 4 * 4


@pytest.mark.parametrize(
    ("stride", "padding", "groups", "taps"),
    [
        # 5 outputs of 3 taps each, per axis; at the two borders one of them meets padding.
        (1, 1, 1, 5 * 3 - 2),
        (1, 0, 1, 3 * 3),
        # Outputs at 0, 2 and 4: the first and the last meet padding.
        (2, 1, 1, 3 * 3 - 2),
        (1, 1, 2, 5 * 3 - 2),
    ],
    ids=["padded", "not padded", "strided", "two groups"],
)
def test_convolutions_without_their_padding(stride: int, padding: int, groups: int, taps: int):
    """Each meeting of a tap and a cell, over both axes, is a product of 8 / groups inputs for each of 6 outputs."""

    def function(trainable, _, x):
        return jax.lax.conv_general_dilated(
            x,
            trainable["kernel"],
            (stride, stride),
            ((padding, padding), (padding, padding)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    kernel, x = {"kernel": form(3, 3, 8 // groups, 6)}, form(2, 5, 5, 8)
    forward = 2 * 2 * taps**2 * (8 // groups) * 6
    assert model_flops(function, kernel, {}, x) == 2 * forward
    compiled = jax.jit(function, static_argnums=1).lower(kernel, None, x).compile()
    assert compiled.cost_analysis()["flops"] == pytest.approx(forward, rel=0.01)


def test_a_dilated_kernel_and_a_spread_input():
    """Taps two cells apart reach over an input of 9 with one gap between its 5 numbers: 5 outputs at 0 … 4, where taps
    at 0, 2 and 4 from there meet numbers if the sum is even: outputs 0, 2 and 4 have three each, 1 and 3 none."""

    def function(trainable, _, x):
        return jax.lax.conv_general_dilated(
            x, trainable["kernel"], (1,), ((0, 0),), lhs_dilation=(2,), rhs_dilation=(2,), dimension_numbers=None
        )

    assert model_flops(function, {"kernel": form(1, 1, 3)}, {}, form(1, 1, 5)) == 2 * 2 * 9


def test_a_partly_frozen_network():
    """Freezing removes the gradients of frozen parameters: at most two thirds of the FLOPs."""
    whole = losses_flops(CONFIG, images=1)
    heads = losses_flops(change(CONFIG, optimizer__phases=(Phase("heads"),)), images=1)
    assert whole / 3 < heads < whole
    assert losses_flops(CONFIG, images=4) == 4 * whole


@pytest.mark.parametrize("trained", [True, False], ids=["trainable", "frozen"])
def test_one_branch_counts(trained: bool):
    """The default branch, not the one for CPUs that computes it twice; the branch where a condition holds."""

    def product(x, w):
        return x @ w

    def twice(x, w):
        return x @ w + x @ (2 * w)

    def function(trainable, frozen, x):
        w = (trainable | frozen)["w"]
        there = jax.lax.platform_dependent(x, w, cpu=twice, default=product)
        return there + jax.lax.cond(jnp.sum(x) > 0, product, lambda x, w: jnp.zeros((3, 5)), x, w)

    parts = ({"w": W}, {}) if trained else ({}, {"w": W})
    assert model_flops(function, *parts, X) == 2 * FIRST * (2 if trained else 1)
