"""Compiled programs are counted, and found again by the next process."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from maskrcnn_jax.training.compilation import Compilations, enable_compilation_cache


@pytest.fixture
def no_folder() -> Iterator[None]:
    """JAX as it starts: no folder is named."""
    before = jax.config.jax_compilation_cache_dir
    seconds = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)


def test_programs_are_counted_once_per_shape():
    triple = jax.jit(lambda x: 3 * x)
    one, two = jnp.zeros(1013), jnp.zeros(1019)  # lengths that no other test of the process has
    with Compilations() as compilations:
        assert (compilations.programs, compilations.seconds) == (0, 0.0)
        triple(one)
        triple(one + 0)
        first = compilations.programs
        triple(two)
        triple(two)
        assert (first, compilations.programs, compilations.read) == (2, 3, 0)  # adding 0 is a program, too
        assert compilations.seconds > 0
    jax.jit(lambda x: 5 * x)(one)
    assert compilations.programs == 3
    assert re.fullmatch(r"3 programs in \d+\.\d s, 0 of them from the disk", str(compilations))


def test_the_next_process_finds_the_programs_in_the_users_cache(tmp_path: Path):
    script = """
        import jax
        from maskrcnn_jax.training.compilation import Compilations, enable_compilation_cache
        enable_compilation_cache()
        with Compilations() as compilations:
            jax.jit(lambda x: 3 * x)(2.0)
        print(compilations.programs, compilations.read)
    """
    lines = "\n".join(line.strip() if "jit" not in line else f"    {line.strip()}" for line in script.splitlines())
    named = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}

    def start() -> str:
        environment = named | {"XDG_CACHE_HOME": str(tmp_path)}
        return subprocess.run([sys.executable, "-c", lines], env=environment, capture_output=True, text=True).stdout

    assert (start(), start()) == ("1 0\n", "1 1\n")
    assert list((tmp_path / "maskrcnn_jax" / "compiled").iterdir())


def test_a_folder_that_is_named_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_folder: None):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine") and not list(tmp_path.iterdir())


def test_without_a_folder_of_its_own_it_is_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_folder: None
):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / ".cache" / "maskrcnn_jax" / "compiled")


def test_a_home_that_cannot_be_written_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, no_folder: None
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    enable_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
    (record,) = caplog.records
    assert "every start compiles anew" in record.message and "set JAX_COMPILATION_CACHE_DIR" in record.message
