"""Compiled programs: kept on the disk between starts, and counted."""

import logging
import os
from pathlib import Path

import jax

log = logging.getLogger(__name__)

COMPILED = "/jax/core/compile/backend_compile_duration"
"""JAX's name for making a program, or for reading it from the disk."""
PARTS = ("/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration", COMPILED)
"""All that happens between a call and its program."""
FOUND = "/jax/compilation_cache/cache_hits"


def enable_compilation_cache() -> None:
    """Has JAX keep compiled programs on the disk, so that the next start reads them there.

    They lie in `maskrcnn_jax/compiled` in the user's cache folder (`$XDG_CACHE_HOME`, or `~/.cache`) and may be deleted
    at any time. `JAX_COMPILATION_CACHE_DIR` names another folder, `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing. A
    folder that cannot be written is left alone, with a warning.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskrcnn_jax" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("every start compiles anew: %s; set JAX_COMPILATION_CACHE_DIR to a folder of yours", error)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # JAX leaves out what compiles in less than a second: dozens of small programs, seconds of a start together.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


class Compilations:
    """Counts what JAX compiles in this process, from `with` on."""

    def __init__(self) -> None:
        self.programs = 0
        self.read = 0
        """How many of them came from the disk."""
        self.seconds = 0.0
        """From Python to programs, those from the disk included."""

    def __enter__(self) -> "Compilations":
        jax.monitoring.register_event_duration_secs_listener(self._spent)
        jax.monitoring.register_event_listener(self._happened)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._spent)
        jax.monitoring.unregister_event_listener(self._happened)

    def __str__(self) -> str:
        return f"{self.programs} programs in {self.seconds:.1f} s, {self.read} of them from the disk"

    def _spent(self, event: str, duration_secs: float, **_: object) -> None:
        self.programs += event == COMPILED
        self.seconds += duration_secs * (event in PARTS)

    def _happened(self, event: str, **_: object) -> None:
        self.read += event == FOUND
