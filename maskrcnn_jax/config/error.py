"""What a configuration that cannot work is answered with."""

SHOWN = 500
"""Characters of a value that a message shows."""


class ConfigError(ValueError):
    """A configuration that cannot work; the message names the field, its value and the remedy."""


def require(condition: bool, where: str, value: object, remedy: str) -> None:
    """Raises ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{where} = {_shown(value)}: {remedy}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
