"""The report on a data set: images, training samples and targets."""

from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.config import CocoSource, Config
from maskrcnn_jax.inspect.data.inspected import Split, open_data
from maskrcnn_jax.inspect.data.steps import STEPS
from maskrcnn_jax.inspect.page import write_page


class DataReport(NamedTuple):
    """A written report on a data set."""

    page: Path
    images: int
    """Number of images that were read."""
    broken: list[str]
    """Errors of images that cannot be decoded."""


def inspect_data(
    config: Config,
    out: Path | str,
    *,
    split: Split = "train",
    seed: int = 0,
    image_id: int | str | None = None,
    images: int = 1000,
) -> DataReport:
    """Writes a page on a data set and on its training samples with a configuration.

    Args:
        config: Of the experiment.
        out: The folder of the page; see `write_page`.
        split: `config.data.train` or `config.data.validation`.
        seed: Of the random images and boxes, at least 0.
        image_id: See `open_data`.
        images: Number of images to read, at most.

    Raises:
        ConfigError, BrokenImage or ValueError: See `open_data`; or `out` holds other files.
    """
    data = open_data(config, split, seed=seed, image_id=image_id, images=images)
    source = config.data.train if split == "train" else config.data.validation
    title = f"{type(source).__name__} ({split})"
    if isinstance(source, CocoSource):
        title = f"{source.folder}, {source.split}"
    page = write_page(out, f"Data of {title}", (step(data) for step in STEPS))
    return DataReport(page, len(data.numbers.images), data.numbers.broken)
