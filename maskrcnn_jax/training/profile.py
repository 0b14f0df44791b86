"""A profile of a few training steps, for XProf."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from maskrcnn_jax.distributed.processes import is_first

FOLDER_NAME = "profile"


class Profile:
    """Writes what the devices and the host do in some steps of a run to its folder.

    Operations carry the names of the stages, that is of the `Trace`: in the backward pass as `transpose(jvp(box))`. The
    first process writes, about its own devices.

    Args:
        folder: the run folder.
        steps: the first and the last step of the profile; None for none.
        finish: returns when the devices have finished all steps so far.
    """

    def __init__(self, folder: Path, steps: tuple[int, int] | None, finish: Callable[[], None]):
        self._folder = folder / FOLDER_NAME
        self._steps = steps
        self._finish = finish
        self._running = False

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Around one step."""
        first, last = self._steps or (0, -1)
        if first <= number <= last and not self._running and is_first():
            self._finish()
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # every call of a Python function would bury the rest
            jax.profiler.start_trace(self._folder, profiler_options=options)
            self._running = True
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield
        if number == last:
            self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            self._finish()
            jax.profiler.stop_trace()

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            self._stop()
        elif self._running:
            jax.profiler.stop_trace()
