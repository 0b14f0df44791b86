"""What is wrong with a data set, collected so that everything is said at once."""

from collections import defaultdict
from collections.abc import Sequence

from maskrcnn_jax.files.printable import one_line

MOST_NAMED = 10
"""Things that a message names before it only counts."""


class DatasetError(ValueError):
    """A data set that cannot be prepared; the message names the offenders and the remedy."""


class Refused(ValueError):
    """An entry that cannot be used: (what is wrong, which it is)."""


class Dropped(ValueError):
    """An annotation that is left out: (why)."""


class Problems:
    """Collects offenders by what is wrong with them."""

    def __init__(self, where: str):
        self.where = where
        self.offenders: dict[str, list[str]] = defaultdict(list)

    def add(self, problem: str, offender: str) -> None:
        """Notes one more offender."""
        self.offenders[problem].append(offender)

    def lines(self) -> list[str]:
        """One line per kind of problem."""
        return [f"{problem}: {first_of(offenders)}" for problem, offenders in self.offenders.items()]

    def raise_if_any(self) -> None:
        """Raises DatasetError that lists all problems, if there are any: one in one line, several below each other."""
        if lines := self.lines():
            raise DatasetError((" " if len(lines) == 1 else "\n  ").join([f"{self.where}:", *lines]))


def first_of(things: Sequence[object]) -> str:
    """Names the first few, each in one line of sane length, and counts the rest."""
    more = len(things) - MOST_NAMED
    return ", ".join(one_line(str(thing)) for thing in things[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
