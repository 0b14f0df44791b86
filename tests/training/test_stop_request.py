"""A request to stop, in one process. In several: test_running_processes.py."""

import signal

from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.training.stop_request import StopRequest


def test_a_stop_is_noted_once_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest(data_mesh()) as stop:
        assert not stop.agreed()
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked and stop.agreed()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # asked twice, it stops at once
    assert signal.getsignal(signal.SIGTERM) == before
