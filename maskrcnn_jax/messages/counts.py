"""Counts in words."""

from collections.abc import Sequence

from maskrcnn_jax.files.printable import one_line

MOST_NAMED = 10
"""Names that a message lists before it counts the rest."""


def pluralize(number: int, noun: str) -> str:
    """A count and what is counted: "1 image", "2 images", "0 boxes"."""
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names after their number, the first few if there are many: "2: a, b", "30: a, b and 28 others"."""
    others = len(names) - most
    first = ", ".join(names[:most] if others > 0 else names)
    return f"{len(names)}: {first}" + (f" and {pluralize(others, 'other')}" if others > 0 else "")


def shorten_list(things: Sequence[object]) -> str:
    """Names the first few, each in one line of sane length, and counts the rest."""
    more = len(things) - MOST_NAMED
    return ", ".join(one_line(str(thing)) for thing in things[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
