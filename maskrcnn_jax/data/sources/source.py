"""Data sets as values of a configuration."""

from dataclasses import dataclass

from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.extension import Value


@dataclass(frozen=True)
class Source(Value):
    """A data set: which one, and its location."""

    def open(self) -> ImageSource:
        """Opens the data set.

        Raises:
            ConfigError: a value is not valid, or there is no such data set.
        """
        raise NotImplementedError
