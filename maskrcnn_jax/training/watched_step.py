"""The train step, watched for compiling when it should not."""

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

import jax

from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.compilation import Compilations
from maskrcnn_jax.training.step import Metrics, TrainState

log = logging.getLogger(__name__)


class WatchedStep:
    """A jitted train step that says when it compiles: once for each padded shape in each phase, and never again.

    What compiles besides is warned of, with what is not as it was.

    Args:
        step: the jitted step.
        compilations: what counts in this process.
        shapes: the padded (height, width) that the data may have.
    """

    def __init__(
        self,
        step: Callable[..., tuple[TrainState, Metrics]],
        compilations: Compilations,
        shapes: Collection[tuple[int, int]],
    ) -> None:
        self._step, self._compilations, self._shapes = step, compilations, shapes
        self._compiled: set[tuple[int, tuple[int, int]]] = set()
        self._forms: dict[str, str] = {}

    def __call__(self, state: TrainState, batch: Batch, phase: int = 0) -> tuple[TrainState, Metrics]:
        """The step itself; compiling one is part of the call."""
        programs, began = self._compilations.programs, time.perf_counter()
        result = self._step(state, batch, phase=phase)
        if self._compilations.programs > programs:
            self._say(state, batch, phase, time.perf_counter() - began)
        return result

    def _say(self, state: TrainState, batch: Batch, phase: int, seconds: float) -> None:
        count, height, width, _ = batch.images.shape
        forms, before = _forms({"state": state, "batch": batch}), self._forms
        expected = (height, width) in self._shapes and (phase, (height, width)) not in self._compiled
        self._compiled.add((phase, (height, width)))
        self._forms = forms
        made = f"for {pluralize(count, 'image')} of {height}×{width} in {seconds:.1f} s"
        if expected:
            log.info("compiled the step %s", made)
            return
        changes = [
            f"{name} is {form}, was {before.get(name)}" for name, form in forms.items() if form != before.get(name)
        ]
        log.warning(
            "compiled the step again, %s. Every new shape costs that time: pad to the sizes of data.buckets = %s and "
            "keep types and devices as they are. Changed since the last time: %s",
            made,
            tuple(self._shapes),
            "; ".join(changes[:5]) or "nothing that a shape shows; JAX_EXPLAIN_CACHE_MISSES=1 tells more",
        )


def _forms(tree: Any) -> dict[str, str]:
    """Dotted name → type, shape and place of every array; arrays that are donated still know theirs."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{leaf.dtype}{list(leaf.shape)} {leaf.sharding}"
        for path, leaf in leaves
    }
