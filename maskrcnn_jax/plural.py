"""Counts in words."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """A count and what is counted: "1 picture", "2 pictures", "0 boxes"."""
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names after their number, the first few if there are many: "2: a, b", "30: a, b and 28 others"."""
    others = len(names) - most
    first = ", ".join(names[:most] if others > 0 else names)
    return f"{len(names)}: {first}" + (f" and {counted(others, 'other')}" if others > 0 else "")
