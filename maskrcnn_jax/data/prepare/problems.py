"""Problems of a data set, collected so that all are reported at once."""

from collections import defaultdict

from maskrcnn_jax.messages.counts import shorten_list


class DatasetError(ValueError):
    """A data set that cannot be prepared; the message names the offenders and the remedy."""


class Refused(ValueError):
    """An entry that cannot be used: (problem, name of the entry)."""


class Dropped(ValueError):
    """An annotation that is left out: (reason)."""


class Problems:
    """Collects offenders by problem."""

    def __init__(self, where: str):
        self.where = where
        self.offenders: dict[str, list[str]] = defaultdict(list)

    def add(self, problem: str, offender: str) -> None:
        """Notes one more offender."""
        self.offenders[problem].append(offender)

    def lines(self) -> list[str]:
        """One line per kind of problem."""
        return [f"{problem}: {shorten_list(offenders)}" for problem, offenders in self.offenders.items()]

    def raise_if_any(self) -> None:
        """Raises DatasetError that lists all problems, if there are any: one in one line, several below each other."""
        if lines := self.lines():
            raise DatasetError((" " if len(lines) == 1 else "\n  ").join([f"{self.where}:", *lines]))
