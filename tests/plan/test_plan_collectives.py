"""Collectives of a module written by hand, in the form in which XLA writes those of TPUs and GPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.distributed.mesh import data_mesh, replicated, spread
from maskrcnn_jax.plan.collectives import Collective, CollectiveGroup, collectives, group_collectives

MODULE = """HloModule jit_train_step, is_scheduled=true

%add.1 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%body.2 (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]{0}) parameter(0)
  %gathered = f32[16]{0:T(128)} all-gather(%x), dimensions={0}, metadata={op_name="jit(train_step)/while/body/top_k"}
  ROOT %next = (s32[], f32[8]{0}) tuple(%i, %y)
}

%condition.3 (state: (s32[], f32[8])) -> pred[] {
  %state = (s32[], f32[8]{0}) parameter(0)
  ROOT %go = pred[] compare(%i, %n), direction=LT
}

ENTRY %main.4 (p: f32[64]) -> f32[64] {
  %p = f32[64]{0} parameter(0)
  %statistics.1 = (f32[64]{0:T(128)}, f32[64]{0:T(128)}) all-reduce(%s, %t), channel_id=1, to_apply=%add.1, metadata={op_name="jit(train_step)/jvp(features)/reduce_sum" stack_frame_id=3}
  %statistics.2 = (f32[32]{0:T(128)}, f32[32]{0:T(128)}) all-reduce(%s, %t), channel_id=2, to_apply=%add.1, metadata={op_name="jit(train_step)/jvp(masks)/reduce_sum"}
  %count = s32[] all-reduce(%valid), channel_id=3, to_apply=%add.1, metadata={op_name="jit(train_step)/jvp()/reduce_sum"}
  %started = bf16[3,5]{1,0} all-reduce-start(%g), channel_id=4, to_apply=%add.1, metadata={op_name="jit(train_step)/transpose(jvp(box))/dot_general"}
  %done = bf16[3,5]{1,0} all-reduce-done(%started), metadata={op_name="jit(train_step)/transpose(jvp(box))/dot_general"}
  %joined = (f32[10]{0}, f32[]) all-reduce(%h, %l), to_apply=%add.1, metadata={op_name="jit(train_step)/(transpose(jvp(box))/(dot_general:reduce_sum):jvp()/reduce_sum)"}
  %moving = (u8[7]{0}, u8[7]{0}) collective-permute-start(%q), source_target_pairs={{0,1}}, metadata={op_name="jit(train_step)/slice"}
  %moved = u8[7]{0} collective-permute-done(%moving)
  %moving.2 = (f32[9]{0}, f32[9]{0}, u32[], u32[]) collective-permute-start(%q), source_target_pairs={{0,1}}, metadata={op_name="jit(train_step)/transpose(jvp(box))/sort"}
  %piece.1 = f32[6]{0} fusion(%d), kind=kLoop, calls=%c, metadata={op_name="jit(train_step)/transpose(jvp(box))/dot_general"}
  %piece.2 = f32[1]{0} fusion(%e), kind=kLoop, calls=%c, metadata={op_name="jit(train_step)/jvp(losses)/reduce_sum"}
  %laid.3 = f32[7]{0} fusion(%piece.1, %piece.2), kind=kLoop, calls=%c, metadata={scheduling_name="laid.3"}
  %laid.4 = f32[7]{0} all-reduce-start(%laid.3), channel_id=5, to_apply=%add.1, metadata={scheduling_name="laid.4"}
  %nameless = f64[2]{0} all-to-all(%r), dimensions={0}
  %loop = (s32[], f32[8]{0}) while(%init), condition=%condition.3, body=%body.2
  ROOT %out = f32[64]{0} copy(%p)
}
"""  # noqa: E501

EXPECTED = [
    Collective("all-gather", 16 * 4, ("jit(train_step)/while/body/top_k",), looped=True),
    Collective("all-reduce", 2 * 64 * 4, ("norm statistics",), looped=False),
    Collective("all-reduce", 2 * 32 * 4, ("norm statistics",), looped=False),
    Collective("all-reduce", 4, ("losses",), looped=False),
    Collective("all-reduce", 15 * 2, ("gradients",), looped=False),
    Collective("all-reduce", 10 * 4 + 4, ("gradients", "losses"), looped=False),
    Collective("collective-permute", 7, ("jit(train_step)/slice",), looped=False),
    # Nothing is summed, so these are no gradients; two integers of the device follow the result.
    Collective("collective-permute", 9 * 4, ("jit(train_step)/transpose(jvp(box))/sort",), looped=False),
    # XLA for GPUs concatenates what it sends together, and gives the result a name of its own.
    Collective("all-reduce", 7 * 4, ("gradients", "losses"), looped=False),
    Collective("all-to-all", 2 * 8, ("unnamed",), looped=False),
]


def test_of_a_module_written_by_hand():
    assert collectives(MODULE) == EXPECTED


def test_collectives_of_one_kind_and_purpose_are_added_up():
    groups = group_collectives(EXPECTED)
    assert groups[0] == CollectiveGroup("all-reduce", ("norm statistics",), False, instructions=2, bytes=2 * 96 * 4)
    assert len(groups) == len(EXPECTED) - 2
    assert [group.bytes for group in groups] == sorted((group.bytes for group in groups), reverse=True)


def test_a_reduction_that_is_no_sum_keeps_its_name():
    """Devices that wait for each other's "or" in the forward pass reduce neither losses nor statistics."""
    text = MODULE.replace("ROOT %sum = f32[] add(%a, %b)", "ROOT %or = pred[] or(%a, %b)")
    assert collectives(text)[1].purposes == ("jit(train_step)/jvp(features)/reduce_sum",)


def test_a_sum_without_a_name_has_that_of_its_operands():
    """XLA for GPUs may name the summands alone; outside the stages they belong to the losses."""
    text = MODULE.replace('metadata={op_name="jit(train_step)/jvp()/reduce_sum"}', "metadata={}")
    text = text.replace(
        "%count = ", '%valid = s32[] fusion(%v), metadata={op_name="jit(f)/jvp(jit(_where))/and"}\n  %count = '
    )
    assert collectives(text) == EXPECTED


def test_of_a_compiled_function():
    """A weight of 3 numbers, and its gradient summed over four devices; sorting along the batch gathers it."""
    mesh = data_mesh()
    weight = jax.device_put(jnp.ones(3), replicated(mesh))
    x = jax.device_put(np.ones((8, 3), np.float32), spread(mesh))

    def loss(weight, x):
        with jax.named_scope("features"):
            y = x * weight[None]
        return jnp.sum(y**2)

    compiled = jax.jit(jax.value_and_grad(loss)).lower(weight, x).compile()
    found = collectives(compiled.as_text())
    assert {each.kind for each in found} == {"all-reduce"}
    assert {purpose for each in found for purpose in each.purposes} == {"gradients", "losses"}
    assert sum(each.bytes for each in found) == 4 * 3 + 4


@pytest.mark.parametrize(
    "hlo", ["", "HloModule nothing\n\nENTRY %main (p: f32[]) -> f32[] {\n  ROOT %p = f32[] parameter(0)\n}\n"]
)
def test_a_program_of_one_device_has_none(hlo: str):
    assert collectives(hlo) == [] == group_collectives(collectives(hlo))
