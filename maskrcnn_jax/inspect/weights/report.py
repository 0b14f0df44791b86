"""The report on the weights of a network."""

from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.inspect.page import write_page
from maskrcnn_jax.inspect.weights.inspected import InspectedWeights, open_weights
from maskrcnn_jax.inspect.weights.steps import STEPS


class WeightReport(NamedTuple):
    """A written report on weights."""

    page: Path
    weights: InspectedWeights


def inspect_weights(
    source: Path | str,
    out: Path | str,
    against: Path | str | None = None,
    *,
    step: int | None = None,
    against_step: int | None = None,
) -> WeightReport:
    """Writes a page on the weights in a run folder or a file of any system.

    Args:
        source: A run folder, or a file of weights.
        out: The folder of the page; see `write_page`.
        against: An earlier state of the source to compare with.
        step: See `open_weights`.
        against_step: See `open_weights`.

    Raises:
        CheckpointError, ConfigError, WeightFileError or ValueError: See `open_weights`; or `out` holds other files.
    """
    weights = open_weights(source, against, step=step, against_step=against_step)
    return WeightReport(write_page(out, f"Weights of {source}", (step(weights) for step in STEPS)), weights)
