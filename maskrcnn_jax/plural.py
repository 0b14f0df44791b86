"""Counts in words."""


def counted(number: int, noun: str) -> str:
    """A count and what is counted: "1 picture", "2 pictures", "0 boxes"."""
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"
