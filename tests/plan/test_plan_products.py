"""Products of a module written by hand, in the form in which XLA writes those of GPUs, and counted by hand."""

import jax
import jax.numpy as jnp
import pytest

from maskrcnn_jax.plan.arithmetic import model_flops
from maskrcnn_jax.plan.hlo_flops import product_flops

HEAD = """HloModule jit_f, is_scheduled=true

ENTRY %main.1 (x: bf16[2,5,5,8]) -> bf16[2,3,3,6] {
  %x = bf16[2,5,5,8]{3,2,1,0} parameter(0)
  %k = bf16[6,3,3,8]{3,2,1,0} parameter(1)
  %y = bf16[2,3,3,6]{3,2,1,0} parameter(2)
  %a = f32[7,3,4]{2,1,0} parameter(3)
  %b = f32[7,4,5]{2,1,0} parameter(4)
  %m = f32[3,4]{1,0} parameter(5)
  %n = f32[5,4]{1,0} parameter(6)
"""
STRIDED = "window={size=3x3 pad=1_1x1_1 stride=2x2}, dim_labels=b01f_o01i->b01f"
# Per axis 3 outputs of 3 taps each, at the borders one less: 7. Two images, 8 inputs, 6 outputs.
CONVOLUTION = 2 * 2 * 7 * 7 * 8 * 6

LINES = {
    "product": ("%p = f32[3,5]{1,0} dot(%m, %n), lhs_contracting_dims={1}, rhs_contracting_dims={1}", 2 * 3 * 4 * 5),
    "batched product": (
        "%p = f32[7,3,5]{2,1,0} dot(%a, %b), lhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_batch_dims={0}, "
        "rhs_contracting_dims={1}",
        7 * 2 * 3 * 4 * 5,
    ),
    "cuBLAS": (
        '%p = (f32[3,5]{1,0}, s8[4096]{0}) custom-call(%m, %n), custom_call_target="__cublas$gemm", backend_config={'
        '"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],'
        '"rhs_contracting_dimensions":["1"],"lhs_batch_dimensions":[]}}}',
        2 * 3 * 4 * 5,
    ),
    "forward": (
        f'%c = (bf16[2,3,3,6]{{3,2,1,0}}, u8[0]{{0}}) custom-call(%x, %k), {STRIDED}, custom_call_target="__cudnn$conv'
        'Forward", metadata={op_name="conv"}',
        CONVOLUTION,
    ),
    "backward to the input": (
        f'%c = (bf16[2,5,5,8]{{3,2,1,0}}, u8[0]{{0}}) custom-call(%y, %k), {STRIDED}, custom_call_target="__cudnn$conv'
        'BackwardInput"',
        CONVOLUTION,
    ),
    "backward to the kernel": (
        f'%c = (bf16[6,3,3,8]{{3,2,1,0}}, u8[0]{{0}}) custom-call(%x, %y), {STRIDED}, custom_call_target="__cudnn$conv'
        'BackwardFilter"',
        CONVOLUTION,
    ),
    "another call": ('%t = (f32[3]{0}, s32[3]{0}) custom-call(%m, %n), custom_call_target="__gpu$TopK"', 0),
    "sum": ("%s = f32[3,4]{1,0} add(%m, %m)", 0),
}


@pytest.mark.parametrize("name", LINES)
def test_of_a_module_written_by_hand(name: str):
    line, expected = LINES[name]
    assert product_flops(f"{HEAD}  {line}\n}}\n") == expected


def test_products_add_up():
    body = "\n".join(f"  {line.replace('%', f'%q{i}.', 1)}" for i, (line, _) in enumerate(LINES.values()))
    assert product_flops(f"{HEAD}{body}\n}}\n") == sum(expected for _, expected in LINES.values())


def test_of_a_compiled_function():
    """The compiled convolution, product and their gradients have these products and no other."""

    def loss(weights, x):
        y = jax.lax.conv_general_dilated(x, weights["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.sum(jnp.tanh(jnp.tanh(y) @ weights["w"]))

    form = jax.ShapeDtypeStruct
    weights = {"k": form((3, 3, 4, 8), jnp.float32), "w": form((8, 16), jnp.float32)}
    x = form((2, 6, 6, 4), jnp.float32)
    compiled = jax.jit(jax.grad(loss)).lower(weights, x).compile()
    assert product_flops(compiled.as_text()) == model_flops(lambda trainable, _, x: loss(trainable, x), weights, {}, x)
