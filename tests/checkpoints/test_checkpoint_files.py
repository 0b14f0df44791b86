"""Damage is found and named, and nothing else is called damage."""

import os

import jax
import jax.numpy as jnp
import pytest
from small_state import abstract, assert_same, make_state, open_run, start

from maskrcnn_jax.checkpoints import checkpoint_files
from maskrcnn_jax.checkpoints.checkpoint import CheckpointError, load_weights, steps


@pytest.fixture
def run(tmp_path):
    """A run with steps 1 and 2."""
    with open_run(tmp_path / "run") as checkpoints:
        checkpoints.save(1, make_state(1))
        checkpoints.save(2, make_state(2), {"segm/AP": 0.5})
    return tmp_path / "run"


@pytest.mark.parametrize("damage", ["delete", "truncate"])
def test_a_damaged_checkpoint_is_an_error_or_harmless_but_never_wrong(run, damage):
    """Each file in turn: its loss is noticed, or nothing that was saved depended on it."""
    state = make_state(2)
    files = sorted(path for path in (run / "checkpoints" / "2" / "state").rglob("*") if path.is_file())
    noticed = set()
    with open_run(run) as checkpoints:
        for path in files:
            content = path.read_bytes()
            if damage == "delete":
                path.unlink()
            else:
                path.write_bytes(content[: len(content) // 2])
            for read, expected in [
                (lambda: checkpoints.restore(abstract(state)), state),
                (lambda: load_weights(run)[1:4], (state.params, state.statistics, state.ema)),
            ]:
                try:
                    assert_same(jax.tree.map(jnp.asarray, read()), expected)
                except CheckpointError as error:
                    noticed.add(path.name)
                    message = str(error)
                    assert (
                        "step 2" in message and str(run / "checkpoints") in message and "another step: [1]" in message
                    )
            path.write_bytes(content)
        assert_same(checkpoints.restore(abstract(state)), state)
    assert {"_METADATA", "manifest.ocdbt"} <= noticed


def test_damaged_metrics_are_an_error_that_names_the_folder(run):
    (run / "checkpoints" / "2" / "metrics" / "metrics").write_text('{"segm')
    message = (
        r"step 2 in .*checkpoints is damaged: .*metrics/metrics: not valid JSON .*; delete .*/2 to resume from .* \[1\]"
    )
    with pytest.raises(CheckpointError, match=message):
        open_run(run)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied", "x/_METADATA"),
            r"x/_METADATA: Permission denied; change who may use",
        ),
        (OSError(24, "Too many open files"), r"Too many open files; raise the limit .*ulimit -n"),
        (MemoryError(), "not enough memory; close other programs"),
        (OSError(5, "Input/output error"), "Input/output error; the disk reports errors"),
    ],
)
def test_what_is_not_damage_is_not_called_so(run, monkeypatch, error, message):
    def refuse(*_):
        raise error

    monkeypatch.setattr(checkpoint_files, "read_bytes", refuse)
    with pytest.raises(CheckpointError, match=rf"the checkpoint of step 2 in .* cannot be read: {message}") as caught:
        load_weights(run)
    assert "damaged" not in str(caught.value) and "delete" not in str(caught.value)


def test_too_many_open_files_are_named(run, tmp_path):
    script = """
        import os, resource, sys, tempfile
        from maskrcnn_jax.checkpoints.checkpoint import CheckpointError, Checkpoints, load_weights
        load_weights(sys.argv[1])
        keep = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1,) * 2)
        try:
            load_weights(sys.argv[1])
        except CheckpointError as error:
            print(error, flush=True)
        os._exit(0)
    """
    with (tmp_path / "output").open("w+") as output:
        assert start(script, run, output=output).wait(60) == 0
    message = (tmp_path / "output").read_text()
    assert "Too many open files" in message and "damaged" not in message and len(message.splitlines()) == 1


def test_a_platform_that_is_not_here_is_one_line_and_no_damage(run, tmp_path):
    script = """
        import sys
        from maskrcnn_jax.checkpoints.checkpoint import load_weights
        from maskrcnn_jax.config import ConfigError
        try:
            load_weights(sys.argv[1])
        except ConfigError as error:
            print(error, flush=True)
    """
    with (tmp_path / "output").open("w+") as output:
        assert start(script, run, output=output, JAX_PLATFORMS="cuda").wait(60) == 0
    (message,) = (tmp_path / "output").read_text().splitlines()
    assert message.startswith("JAX_PLATFORMS = 'cuda': ") and "damaged" not in message


def test_a_pipe_in_a_checkpoint_is_not_waited_for(run):
    os.mkfifo(run / "checkpoints" / "2" / "state" / "d" / "more")
    with pytest.raises(CheckpointError, match=r"step 2 .* is damaged: .*d/more: is a named pipe"):
        load_weights(run)


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    for read in (steps, load_weights, open_run):
        with pytest.raises(CheckpointError, match=r"/checkpoints: is a file, not a folder; name another run folder"):
            read(tmp_path)
    with pytest.raises(CheckpointError, match=r"^/dev/null: is a file, not a folder"):
        steps("/dev/null")


def test_other_entries_beside_the_checkpoints_are_no_steps(run):
    (run / "checkpoints" / "9").write_text("")
    (run / "checkpoints" / "\u00b2").mkdir()
    assert steps(run) == [1, 2]
