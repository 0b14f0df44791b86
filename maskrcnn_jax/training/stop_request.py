"""Graceful stop on SIGTERM or Ctrl-C."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from maskrcnn_jax.distributed.mesh import to_devices


class StopRequest:
    """Whether the run was asked to stop, by SIGTERM or Ctrl-C; asked twice, it stops at once.

    Several processes stop after the same step, whichever of them was asked.
    """

    def __init__(self, mesh: Mesh):
        self.asked = False
        self._mesh = mesh
        self._any = jax.jit(jnp.any)
        self._sent: jax.Array | None = None

    def agreed(self) -> bool:
        """Whether to stop now, the same in all processes. To be called once a step.

        What one process knows reaches the others a step later, so that no device waits.
        """
        if jax.process_count() == 1:
            return self.asked
        sent = to_devices(np.full(jax.local_device_count(), self.asked), self._mesh)
        before, self._sent = self._sent, self._any(sent)
        return before is not None and bool(before)

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        self.asked = True
        signal.signal(number, signal.SIG_DFL)
