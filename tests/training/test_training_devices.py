"""The step on several devices: weights spread over them, micro-batches, and what crosses between them."""

import re
from collections import Counter

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from small import CONFIG, OBJECTS, batch, build, change, jit, mixed, trained, truth

from maskrcnn_jax.config import ConfigError, Phase
from maskrcnn_jax.distributed.mesh import data_mesh, device_put_global, param_shardings, replicated, to_devices
from maskrcnn_jax.nn.params import flatten
from maskrcnn_jax.prediction.detector import Detector, detect
from maskrcnn_jax.training.step import on_mesh, start

COLLECTIVE = re.compile(
    r"= \(?(\w+)\[([\d,]*)\].* (all-reduce|all-gather|all-to-all|reduce-scatter|collective-[\w-]+|ragged-all-to-all)"
    r"(?:-start)?\("
)


def collectives(compiled) -> set[tuple[str, str, tuple[int, ...]]]:
    """Kind, type and shape of what crosses between devices in a compiled program; of several at once, the first."""
    found = COLLECTIVE.findall(compiled.as_text())
    return {(kind, dtype, tuple(int(n) for n in shape.split(",") if n)) for dtype, shape, kind in found}


def on_devices(config, batch, fsdp: int, large: int):
    """The state and metrics after one step on four devices, and the compiled step."""
    mesh = data_mesh(fsdp)
    state, step = start(build(config.model), config)
    shardings = param_shardings(state, mesh, large)
    with jax.set_mesh(mesh):
        state, spread = device_put_global(state, shardings), to_devices(batch, mesh)
        step = jit(step, donate_argnums=0, out_shardings=(shardings, replicated(mesh)))
        compiled = step.lower(state, spread).compile()
        after, metrics = compiled(state, spread)
    return after, metrics, compiled


def assert_same(found, expected) -> None:
    (state, metrics), (one_state, one_metrics) = found, expected
    for name, value in one_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=name)
    for mine, theirs in ((state.params, one_state.params), (state.statistics, one_state.statistics)):
        for name, value in theirs.items():
            np.testing.assert_allclose(mine[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_weights_spread_over_devices_give_the_same_step():
    """Weights are gathered; gradients, losses and statistics are summed; images and features are not communicated."""
    state, step = trained()
    after, metrics, compiled = on_devices(CONFIG, mixed(), fsdp=2, large=1024)
    assert_same((after, metrics), step(state, mixed()))
    half = {name for name, value in after.params.items() if not value.sharding.is_fully_replicated}
    assert half == {name for name, value in state.params.items() if 4 * value.size >= 1024}
    for tree in (after.params, after.ema):
        for name in half:
            assert tree[name].addressable_shards[0].data.size == state.params[name].size // 2, name
    weights = {("f32", value.shape) for value in state.params.values()}
    for kind, dtype, shape in collectives(compiled):
        assert kind == "all-reduce" or (kind == "all-gather" and (dtype, shape) in weights), (kind, dtype, shape)


def test_a_prediction_gathers_spread_weights_and_nothing_else():
    """An evaluation in a run that spreads its weights gets them spread; images and features stay where they are."""
    mesh, (structure, *weights), inputs = data_mesh(2), flatten(build()), mixed()
    expected = Detector(build())(inputs.images, inputs.image_sizes)
    with jax.set_mesh(mesh):
        spread = device_put_global(tuple(weights), param_shardings(tuple(weights), mesh, large=1024))
        arguments = *spread, *to_devices((inputs.images, inputs.image_sizes), mesh)
        compiled = detect.lower(structure, *arguments).compile()
        found = compiled(*arguments)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    shapes = {value.shape for value in weights[0].values()}
    moved = collectives(compiled)
    assert moved
    assert all(kind == "all-gather" and shape in shapes for kind, _, shape in moved), moved


def test_in_bfloat16_devices_add_up_every_kernel_in_float32():
    """Those of the region proposal head once for each of five levels; nothing is added up in another type."""
    config, mesh = change(CONFIG, model__dtype="bfloat16"), data_mesh()
    state, step = start(build(config.model), config)
    shardings = param_shardings(state, mesh)
    with jax.set_mesh(mesh):
        arguments = device_put_global(state, shardings), to_devices(mixed(), mesh)
        text = on_mesh(step, shardings, mesh).lower(*arguments).as_text()
    sums = Counter(re.findall(r"stablehlo\.all_reduce.*?\}\) : \(tensor<([^>]*)>\)", text, re.DOTALL))
    kernels: Counter[str] = Counter()
    for name, value in state.params.items():
        if name.endswith("kernel"):
            kernels["x".join(map(str, value.shape)) + "xf32"] += 5 if name.startswith("rpn_head.") else 1
    assert all(kind.endswith("f32") for kind in sums)
    assert {kind: sums[kind] for kind in kernels} == kernels


def test_micro_batches_on_four_devices_equal_those_on_one():
    """Each device keeps its own samples: every second of eight images is in the first micro-batch."""
    config = change(
        CONFIG,
        model__mask_head=None,
        run__accumulate=2,
        model__fpn__norm="batch",
        optimizer__phases=(Phase("heads"),),
    )
    eight = batch(*[truth(*OBJECTS), truth(OBJECTS[1]), truth(), truth(*OBJECTS[1:3])] * 2)
    state, step = start(build(config.model), config)
    expected = jit(step)(state, eight)
    *found, compiled = on_devices(config, eight, fsdp=1, large=1)
    assert_same(found, expected)
    assert {kind for kind, *_ in collectives(compiled)} == {"all-reduce"}


def test_large_arrays_are_spread_by_the_longest_axis_that_divides():
    mesh = data_mesh(2)
    shapes = {"even": (3, 8, 6), "odd": (5, 7), "small": (2,), "long": (9, 4)}
    arrays = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    shardings = param_shardings(arrays, mesh, large=4 * 35)
    assert {name: sharding.spec for name, sharding in shardings.items()} == {
        "even": PartitionSpec(None, "fsdp"),
        "odd": PartitionSpec(),
        "small": PartitionSpec(),
        "long": PartitionSpec(None, "fsdp"),
    }
    assert all(place.spec == PartitionSpec() for place in param_shardings(arrays, data_mesh(), large=0).values())


def test_arrays_are_put_by_their_shardings():
    mesh = data_mesh(4)
    kernel = np.arange(24, dtype=np.float32).reshape(3, 8)
    (placed,) = device_put_global([kernel], param_shardings([kernel], mesh, large=0))
    assert [shard.data.tolist() for shard in placed.addressable_shards] == [
        kernel[:, 2 * i : 2 * i + 2].tolist() for i in range(4)
    ]
    np.testing.assert_array_equal(placed, kernel)


def test_devices_that_do_not_divide_are_named():
    with pytest.raises(ConfigError, match=r"run.fsdp = 3: must divide the number of devices, 4"):
        data_mesh(3)
