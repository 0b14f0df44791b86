"""Python searches less often for garbage, and still finds it."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from maskrcnn_jax.training.garbage import tune_gc


@pytest.fixture
def as_before() -> Iterator[None]:
    """The searches of the other tests are as they were."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Circle:
    """It holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("as_before")
def test_what_is_there_is_left_alone_and_what_comes_is_searched():
    tune_gc()
    there, searched = gc.get_freeze_count(), gc.get_count()[0]
    assert there > 10_000  # the modules that this file imports have many more
    assert searched < 700 < gc.get_threshold()[0]
    lost = weakref.ref(Circle())
    junk = [[] for _ in range(2 * gc.get_threshold()[0])]
    assert lost() is None
    assert len(junk) > 700
