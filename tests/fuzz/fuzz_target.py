"""A fuzz target: a way to make an input and a way to read it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class FuzzTarget(NamedTuple):
    """One kind of input."""

    name: str
    make: Callable[[random.Random, Path], None]
    """Writes an input into an empty folder; the same for the same random numbers."""
    read: Callable[[Path], None]
    """Reads the input as a user's command would."""
    share: int = 1
    """Its weight among all targets."""


PATIENCE = 6


class Limits(NamedTuple):
    """Limits for one input."""

    seconds: float = 20
    """CPU seconds of all cores together; `PATIENCE` times as many by the clock."""
    memory: int = 2**30
    """Bytes beyond what the process has."""


def chosen(targets: tuple[FuzzTarget, ...], number: int) -> FuzzTarget:
    """The kind of the input of this number: all take turns by their shares."""
    turns = [target for target in targets for _ in range(target.share)]
    # One further in each round, so that processes that share the numbers share the kinds.
    return turns[(number + number // len(turns)) % len(turns)]


def randomness(seed: int, number: int) -> random.Random:
    """The random numbers of an input."""
    return random.Random(f"{seed}/{number}")
