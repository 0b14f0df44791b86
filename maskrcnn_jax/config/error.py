"""What a configuration that cannot work is answered with."""


class ConfigError(ValueError):
    """A configuration that cannot work; the message names the field, its value and the remedy."""


def require(condition: bool, where: str, value: object, remedy: str) -> None:
    """Raises ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{where} = {value!r}: {remedy}")
