"""The error of an invalid configuration, and the checks that raise it."""

import math

SHOWN = 500
"""Characters of a value that a message shows."""


class ConfigError(ValueError):
    """A configuration that is not valid; the message names the field, its value and the remedy."""


def require(condition: bool, where: str, value: object, remedy: str) -> None:
    """Raises ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{where} = {_shown(value)}: {remedy}")


def require_positive(where: str, *values: float) -> None:
    """Raises ConfigError unless all values are positive and finite."""
    for value in values:
        require(0 < value < math.inf, where, value, "must be positive and finite")


def require_not_negative(where: str, *values: float) -> None:
    """Raises ConfigError unless all values are 0 or more, and finite."""
    for value in values:
        require(0 <= value < math.inf, where, value, "must be 0 or more, and finite")


def require_fraction(where: str, value: float) -> None:
    """Raises ConfigError unless a value lies between 0 and 1."""
    require(0 <= value <= 1, where, value, "must lie between 0 and 1")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
