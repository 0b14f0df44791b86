"""What is fuzzed: a way to make an input and a way to read it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Subject(NamedTuple):
    """One kind of input."""

    name: str
    make: Callable[[random.Random, Path], None]
    """Writes an input into an empty folder; the same for the same random numbers."""
    read: Callable[[Path], None]
    """Reads the input as a user's command would."""
    share: int = 1
    """How often it takes its turn."""


PATIENCE = 6


class Limits(NamedTuple):
    """What an input may take."""

    seconds: float = 20
    """Of all cores together, whatever else the machine does; `PATIENCE` times as many by the clock."""
    memory: int = 2**30
    """Bytes beyond what the process has."""


def chosen(subjects: tuple[Subject, ...], number: int) -> Subject:
    """The kind of the input of this number: all take turns by their shares."""
    turns = [subject for subject in subjects for _ in range(subject.share)]
    # One further in each round, so that processes that share the numbers share the kinds.
    return turns[(number + number // len(turns)) % len(turns)]


def randomness(seed: int, number: int) -> random.Random:
    """The random numbers of an input."""
    return random.Random(f"{seed}/{number}")
