"""Checkpoints give back exactly what was saved, on any devices, after any interruption."""

import gc
import os
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from small_state import abstract, assert_same, make_state, open_run, start

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError, load_weights, steps


@pytest.fixture
def run(tmp_path):
    """A run with steps 1 and 2."""
    with open_run(tmp_path / "run") as checkpoints:
        checkpoints.save(1, make_state(1))
        checkpoints.save(2, make_state(2), {"segm/AP": 0.5})
    return tmp_path / "run"


@pytest.mark.parametrize("ema", [True, False])
def test_restore_gives_the_same_values_and_tree_types(tmp_path, ema):
    state = make_state(ema=ema)
    with open_run(tmp_path) as checkpoints:
        assert checkpoints.latest is None
        checkpoints.save(7, state)
        assert_same(checkpoints.restore(abstract(state)), state)
        assert_same(checkpoints.restore(state), state)
        assert checkpoints.latest == 7


def test_a_state_without_statistics_is_restored(tmp_path):
    state = make_state()._replace(statistics={})
    with open_run(tmp_path) as checkpoints:
        checkpoints.save(7, state)
        assert_same(checkpoints.restore(abstract(state)), state)
    assert load_weights(tmp_path).statistics == {}


def test_names_may_hold_dots(tmp_path):
    """The train state's own form: one flat dict from dotted name to array."""
    state = {"params": {"backbone.stem.0.kernel": jnp.ones((2, 3)), "head.bias": jnp.zeros(3)}, "statistics": {}}
    with open_run(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        assert_same(checkpoints.restore(abstract(state)), state)
        with pytest.raises(CheckpointError, match=r"missing: *params.head.scale float32\[3\]\n"):
            checkpoints.restore({"params": {"head.scale": jnp.zeros(3)}, "statistics": {}})
    assert_same(load_weights(tmp_path).params, jax.tree.map(np.asarray, state["params"]))


def test_an_earlier_step_is_restored(run):
    with open_run(run) as checkpoints:
        assert_same(checkpoints.restore(abstract(make_state(1)), 1), make_state(1))


def test_the_latest_and_the_best_are_kept(tmp_path):
    # Keep 2. AP by step: 1: .1, 2: .9, 3: none, 4: not finite, 5: .9 (equal: the later is the best), 6: .2, 7: .3
    scores = [0.1, 0.9, None, float("nan"), 0.9, 0.2, 0.3]
    with open_run(tmp_path) as checkpoints:
        for step, score in enumerate(scores, start=1):
            checkpoints.save(step, make_state(step), None if score is None else {"bbox/AP": 0.0, "segm/AP": score})
        checkpoints.wait()
        assert steps(tmp_path) == [5, 6, 7]
        assert (checkpoints.latest, checkpoints.best_step) == (7, 5)
    with open_run(tmp_path) as checkpoints:  # the scores are on disk
        assert checkpoints.best_step == 5


def test_without_a_best_metric_only_the_latest_are_kept(tmp_path):
    with open_run(tmp_path, keep=1, best=None) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, make_state(step), {"segm/AP": 1.0 / step})
        checkpoints.wait()
        assert steps(tmp_path) == [3]
        assert checkpoints.best_step is None


def test_a_metric_that_the_evaluation_lacks_makes_no_best(tmp_path):
    with open_run(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(1), {"bbox/AP": 0.5})
        assert checkpoints.best_step is None


def test_a_saved_step_stays_as_it_is(run):
    with open_run(run) as checkpoints:
        checkpoints.save(2, make_state(9))
        assert_same(checkpoints.restore(abstract(make_state(2)), 2), make_state(2))


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="keep = 0"):
        open_run(tmp_path, keep=0)


def test_arrays_may_be_donated_while_they_are_written(tmp_path):
    state = {"params": {"kernel": jnp.arange(2_000_000.0)}}
    expected = np.array(state["params"]["kernel"])
    overwrite = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf * 0 - 1, tree), donate_argnums=0)
    with open_run(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        for _ in range(5):
            state = overwrite(state)
        jax.block_until_ready(state)
        restored = checkpoints.restore(abstract(state))
    np.testing.assert_array_equal(restored["params"]["kernel"], expected)


def test_load_weights_needs_no_optimizer(run):
    weights = load_weights(run)
    state = make_state(2)
    assert weights.step == 2
    assert_same(
        (weights.params, weights.statistics, weights.ema),
        jax.tree.map(np.asarray, (state.params, state.statistics, state.ema)),
    )
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(weights[1:]))
    assert load_weights(run, 1).params["backbone"]["layers"]["0"]["kernel"][0, 0] == 1


def test_load_weights_without_average(tmp_path):
    with open_run(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(ema=False))
    assert load_weights(tmp_path).ema is None


def test_load_weights_leaves_a_running_save_alone(run):
    unfinished = run / "checkpoints" / "3.orbax-checkpoint-tmp"
    unfinished.mkdir()
    assert load_weights(run).step == 2
    assert unfinished.exists()


def test_a_checkpoint_restores_on_another_number_of_devices(tmp_path):
    """Saved from 4 devices in a process of its own, restored on the devices of this one, and the other way."""
    script = """
        import sys, jax, jax.numpy as jnp, numpy as np
        from jax.sharding import AxisType, NamedSharding, PartitionSpec
        from maskrcnn_jax.checkpoints.checkpoint import Checkpoints
        mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
        def placed(spec):
            return NamedSharding(mesh, PartitionSpec(*spec))
        state = {"params": {"kernel": jax.device_put(jnp.arange(8.0), placed(["data"]))}}
        with Checkpoints(sys.argv[1], keep=2, best=None) as checkpoints:
            checkpoints.save(1, state)
        like = {"params": {"kernel": jax.ShapeDtypeStruct((8,), jnp.float32, sharding=placed(["data"]))}}
        with Checkpoints(sys.argv[2], keep=2, best=None) as checkpoints:
            kernel = checkpoints.restore(like)["params"]["kernel"]
        assert len(kernel.addressable_shards) == 4
        np.testing.assert_array_equal(kernel, jnp.arange(8.0) + 1)
    """
    there, here = tmp_path / "four", tmp_path / "one"
    with open_run(here) as checkpoints:
        checkpoints.save(1, {"params": {"kernel": jnp.arange(8.0) + 1}})
    child = start(script, there, here, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert child.wait() == 0
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    one = NamedSharding(mesh, PartitionSpec())
    with open_run(there) as checkpoints:
        kernel = checkpoints.restore({"params": {"kernel": jax.ShapeDtypeStruct((8,), jnp.float32, sharding=one)}})
    assert kernel["params"]["kernel"].sharding == one
    np.testing.assert_array_equal(kernel["params"]["kernel"], jnp.arange(8.0))


def test_a_kill_in_the_middle_of_a_save_leaves_the_earlier_checkpoint(run):
    script = """
        import sys, jax.numpy as jnp
        from maskrcnn_jax.checkpoints.checkpoint import Checkpoints
        with Checkpoints(sys.argv[1], keep=2, best="segm/AP") as checkpoints:
            checkpoints.save(3, {"params": {f"kernel{i}": jnp.full(3_000_000, float(i)) for i in range(20)}})
    """
    child = start(script, run)
    folder = run / "checkpoints"
    deadline = time.monotonic() + 60
    while not (unfinished := [entry for entry in folder.iterdir() if not entry.name.isdigit()]):
        assert child.poll() is None and time.monotonic() < deadline
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert unfinished and steps(run) == [1, 2]
    assert load_weights(run).step == 2
    with open_run(run) as checkpoints:
        assert [entry.name for entry in folder.iterdir() if not entry.name.isdigit()] == []
        assert (checkpoints.latest, checkpoints.best_step) == (2, 2)
        assert_same(checkpoints.restore(abstract(make_state(2))), make_state(2))
        checkpoints.save(3, make_state(3))
    assert steps(run) == [2, 3]


def test_a_full_disk_is_an_error_and_the_earlier_checkpoints_stay(run, tmp_path):
    """A limit on the size of a file stands for the full disk: a write fails in the same place, for every user."""
    script = """
        import resource, sys, jax.numpy as jnp, numpy as np
        from maskrcnn_jax.checkpoints.checkpoint import CheckpointError, Checkpoints
        checkpoints = Checkpoints(sys.argv[1], keep=2, best="segm/AP")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        noise = np.random.default_rng(0).random(1_000_000)
        checkpoints.save(3, {"params": {"kernel": jnp.asarray(noise, jnp.float32)}})
        try:
            checkpoints.wait()
        except CheckpointError as error:
            print(error, flush=True)
    """
    with (tmp_path / "output").open("w+") as output:
        assert start(script, run, output=output).wait(60) == 0
    message = (tmp_path / "output").read_text()
    assert str(run / "checkpoints") in message
    assert "the checkpoints of steps [1, 2] are intact" in message
    assert "File too large; above the largest size of a file; raise the limit (ulimit -f)" in message
    assert len(message.splitlines()) == 1
    with open_run(run) as checkpoints:
        assert steps(run) == [1, 2]
        assert_same(checkpoints.restore(abstract(make_state(2))), make_state(2))


def test_another_architecture_lists_every_difference(run):
    like = abstract(make_state())
    like = like._replace(
        params={
            "backbone": {"layers": {"0": {"kernel": jax.ShapeDtypeStruct((5, 4), jnp.float32)}}},
            "mask_head": {"bias": jax.ShapeDtypeStruct((6,), jnp.float32)},
        },
        ema=None,
    )
    with open_run(run) as checkpoints, pytest.raises(CheckpointError) as caught:
        checkpoints.restore(like)
    first, *lines = str(caught.value).splitlines()
    assert str(run / "checkpoints" / "2") in first and "another architecture" in first
    assert [" ".join(line.split()) for line in lines] == [
        "missing: params.mask_head.bias float32[6]",
        "unexpected: ema.backbone.layers.0.kernel float32[3, 4]",
        "unexpected: ema.head.bias bfloat16[3]",
        "unexpected: params.head.bias bfloat16[3]",
        "differs: params.backbone.layers.0.kernel is float32[3, 4], the model has float32[5, 4]",
    ]


def test_another_type_is_a_difference(run):
    like = abstract(make_state())
    like = like._replace(step=jax.ShapeDtypeStruct((), jnp.float32))
    with open_run(run) as checkpoints, pytest.raises(CheckpointError, match=r"step is int32\[\], .* float32\[\]"):
        checkpoints.restore(like)


def usage() -> tuple[int, int]:
    """Open file descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def test_saving_and_restoring_leave_no_descriptors_and_no_threads(tmp_path):
    state = {"params": {"kernel": jnp.arange(8.0)}, "statistics": {}}
    with open_run(tmp_path, best=None) as checkpoints:
        for step in range(1, 61):
            checkpoints.save(step, state)
            checkpoints.restore(state)
            if step == 10:  # what is made once is there
                descriptors, threads = usage()
        now = usage()
    # 50 saves left 150 descriptors and 50 threads when nobody took their results.
    assert now[0] <= descriptors + 3 and now[1] <= threads + 5


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere holds no checkpoint"):
        load_weights(tmp_path / "nowhere")
    with open_run(tmp_path / "new") as checkpoints, pytest.raises(CheckpointError, match="new holds no checkpoint"):
        checkpoints.restore(abstract(make_state()))
    assert steps(tmp_path / "nowhere") == []


def test_a_step_that_does_not_exist_is_named_with_those_that_do(run):
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 5; it holds \[1, 2\]"):
        load_weights(run, 5)


def test_a_pipe_in_the_place_of_any_file_is_refused(run):
    """Opened as a file it would wait for ever; Orbax opens the one beside the arrays, too."""
    path = run / "checkpoints" / "2" / "_CHECKPOINT_METADATA"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"step 2 .*_CHECKPOINT_METADATA: is a named pipe, not a regular file"):
        load_weights(run, 2)


def test_zeros_anywhere_in_the_arrays_are_noticed_before_all_of_them_are_read(tmp_path, caplog):
    """Orbax leaves the tasks of the other arrays behind, and each would print a traceback when it is freed."""
    with open_run(tmp_path) as checkpoints:
        checkpoints.save(2, make_state(2, side=5000))  # small arrays lie elsewhere, with a checksum of their own
    expected = load_weights(tmp_path, 2)
    state = tmp_path / "checkpoints" / "2" / "state"
    file = max(state.rglob("d/*"), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    damaged = 0
    for place in range(0, len(whole), len(whole) // 25):
        file.write_bytes(whole[:place] + bytes(len(whole) - place))  # as interrupted copies leave files
        try:
            assert_same(load_weights(tmp_path, 2)[1:], expected[1:])
        except CheckpointError as error:
            assert "is damaged" in str(error)
            damaged += 1
    gc.collect()
    assert damaged > 0
    assert "never retrieved" not in caplog.text
