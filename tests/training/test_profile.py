"""The profile of some steps names the stages."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from maskrcnn_jax.training.profile import Profile


def traces(folder: Path) -> list[Path]:
    return list((folder / "profile").rglob("*.xplane.pb"))


def test_the_steps_asked_for_are_in_the_run_folder(tmp_path: Path):
    finished: list[int] = []

    @jax.jit
    def work(x):
        with jax.named_scope("proposals"):
            return jnp.sort(x @ x)

    with Profile(tmp_path, (2, 3), finish=lambda: finished.append(1)) as profile:
        for number in range(1, 6):
            with profile.step(number):
                work(jnp.ones((50, 50)) + number).block_until_ready()
            assert len(traces(tmp_path)) == (number >= 3)
    assert len(finished) == 2  # before the first and after the last
    (trace,) = traces(tmp_path)
    content = trace.read_bytes()
    assert b"proposals" in content and b"train" in content
    assert b"step_num" in content


def test_a_run_that_continues_within_the_steps_writes_the_rest(tmp_path: Path):
    with Profile(tmp_path, (2, 3), finish=lambda: None) as profile, profile.step(3):
        jnp.ones(3).block_until_ready()
    assert len(traces(tmp_path)) == 1
    with (
        Profile(tmp_path / "later", (2, 3), finish=lambda: pytest.fail("nothing to finish")) as profile,
        profile.step(4),
    ):
        pass
    assert not (tmp_path / "later").exists()


def test_without_steps_nothing_is_written(tmp_path: Path):
    with Profile(tmp_path, None, finish=lambda: pytest.fail("nothing to finish")) as profile, profile.step(0):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_run_that_ends_in_between_leaves_what_there_is(tmp_path: Path, error):
    with pytest.raises(KeyError if error is None else error):
        with Profile(tmp_path, (1, 9), finish=lambda: None) as profile:
            with profile.step(1):
                jnp.ones(3).block_until_ready()
            if error:
                raise error("a step went wrong")
        raise KeyError("the run ended")
    assert len(traces(tmp_path)) == 1
