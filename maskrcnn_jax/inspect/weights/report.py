"""The report on the weights of a network."""

from pathlib import Path

from maskrcnn_jax.inspect.page import write_page
from maskrcnn_jax.inspect.weights.inspected import InspectedWeights, open_weights
from maskrcnn_jax.inspect.weights.steps import STEPS


def inspect_weights(
    source: Path | str,
    out: Path | str,
    against: Path | str | None = None,
    *,
    step: int | None = None,
    against_step: int | None = None,
) -> tuple[Path, InspectedWeights]:
    """Writes a page on the weights in a run folder or a file of any system; returns its path and the weights.

    `write_page` says what the folder `out` may hold, `open_weights` what the other arguments mean.

    Raises:
        CheckpointError, ConfigError, WeightFileError or ValueError: See `open_weights`; or `out` holds other files.
    """
    weights = open_weights(source, against, step=step, against_step=against_step)
    return write_page(out, f"Weights of {source}", (step(weights) for step in STEPS)), weights
