"""The weights to inspect, and those to compare with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from maskrcnn_jax.inspect.weights.change import Comparison, compare
from maskrcnn_jax.inspect.weights.source import WeightSource, read_source, with_same_names
from maskrcnn_jax.inspect.weights.tensor_stats import TensorStats, tensor_stats


@dataclass(frozen=True)
class InspectedWeights:
    """The weights of a network, and those that they are compared with."""

    source: WeightSource
    before: WeightSource | None = None

    @cached_property
    def tensors(self) -> list[TensorStats]:
        """Statistics and flags of every array."""
        return tensor_stats(self.source.arrays)

    @cached_property
    def comparison(self) -> Comparison | None:
        """How the arrays differ from those before; None if there is nothing to compare with."""
        return None if self.before is None else compare(self.before.arrays, self.source.arrays)


def open_weights(
    source: Path | str, against: Path | str | None = None, *, step: int | None = None, against_step: int | None = None
) -> InspectedWeights:
    """Reads the weights in a run folder or a file of any system.

    Args:
        source: A run folder, or a file of weights.
        against: An earlier state of the source to compare with.
        step: The checkpoint of a run folder; the latest by default.
        against_step: The same of `against`, or of the source itself where `against` is None.

    Raises:
        CheckpointError, ConfigError or WeightFileError: A source cannot be read.
        ValueError: A step is given for a file.
    """
    weights = read_source(source, step)
    if against is None and against_step is None:
        return InspectedWeights(weights)
    return InspectedWeights(
        *with_same_names(weights, read_source(source if against is None else against, against_step))
    )
