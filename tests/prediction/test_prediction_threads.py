"""The order is kept, errors reach the caller, and prefetching is bounded."""

import threading
import time

import pytest

from maskrcnn_jax.prediction.threads import BackgroundWriter, ahead


def test_items_come_in_order_and_from_a_thread():
    def numbers():
        for number in range(50):
            yield number, threading.current_thread()

    pairs = list(ahead(numbers(), 3))
    assert [number for number, _ in pairs] == list(range(50))
    assert threading.main_thread() not in {thread for _, thread in pairs}
    assert list(ahead([], 3)) == []


def test_it_runs_ahead_but_not_too_far():
    fetched = []
    stream = ahead((fetched.append(number) or number for number in range(50)), 3)
    assert next(stream) == 0
    deadline = time.monotonic() + 5
    while len(fetched) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert fetched == [0, 1, 2, 3]  # the one that was taken and three more
    stream.close()
    assert fetched == [0, 1, 2, 3]


def test_errors_of_fetching_are_raised_in_order():
    def broken():
        yield 1
        raise ValueError("no more")

    stream = ahead(broken(), 5)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="no more"):
        next(stream)


def test_calls_behind_are_in_order_and_complete():
    done = []
    with BackgroundWriter(2) as worker:
        for number in range(20):
            worker.call(done.append, number)
    assert done == list(range(20))


def test_calls_wait_when_too_many_are_behind():
    gate, done = threading.Event(), []
    with BackgroundWriter(2) as worker:
        worker.call(gate.wait)
        worker.call(done.append, 1)
        threading.Timer(0.1, gate.set).start()
        worker.call(done.append, 2)  # a third: it waits for the first
        assert gate.is_set()
    assert done == [1, 2]


def test_an_error_behind_reaches_the_caller():
    done = []
    with pytest.raises(ZeroDivisionError), BackgroundWriter(4) as worker:
        worker.call(divmod, 1, 0)
        worker.call(done.append, 1)


def test_an_error_of_the_caller_leaves_the_rest_undone():
    gate, done = threading.Event(), []
    with pytest.raises(KeyError), BackgroundWriter(4) as worker:
        worker.call(gate.wait)
        worker.call(done.append, 1)
        threading.Timer(0.05, gate.set).start()
        raise KeyError
    assert done == []
