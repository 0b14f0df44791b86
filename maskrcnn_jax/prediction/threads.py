"""Threads beside the device: inputs are fetched ahead, outputs are written in the background."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], count: int) -> Generator[Item, None, None]:
    """The items, up to `count` of them fetched ahead by a thread; errors are raised in the order of the items."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as worker:
        pending = deque(worker.submit(next, source, end) for _ in range(count))
        try:
            while (item := pending.popleft().result()) is not end:
                pending.append(worker.submit(next, source, end))
                yield item  # type: ignore[misc]  # not the end
        finally:
            worker.shutdown(cancel_futures=True)


class BackgroundWriter:
    """Calls functions in a thread, in order; an error of one is raised by a later call or at the end.

    Args:
        count: Calls that may be pending; a further call blocks.
    """

    def __init__(self, count: int) -> None:
        self._worker = ThreadPoolExecutor(1)
        self._pending: deque[Future[Any]] = deque()
        self._count = count

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._pending and kind is None:
                self._pending.popleft().result()
        finally:
            self._worker.shutdown(cancel_futures=True)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Schedules a call after all earlier ones."""
        while len(self._pending) >= self._count:
            self._pending.popleft().result()
        self._pending.append(self._worker.submit(function, *arguments))
