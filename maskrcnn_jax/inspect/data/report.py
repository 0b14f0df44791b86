"""The report on a data set: its pictures, what training makes of them, and what it asks of the network."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.config import CocoSource, Config
from maskrcnn_jax.inspect.data.steps import number_steps, row_steps, stored_steps
from maskrcnn_jax.inspect.data.study import Split, Study, open_study
from maskrcnn_jax.inspect.data.target_steps import target_steps
from maskrcnn_jax.inspect.page import Step, write_page


class DataReport(NamedTuple):
    """A written report on a data set."""

    page: Path
    images: int
    """Pictures whose numbers were read."""
    broken: list[str]
    """Pictures that cannot be decoded: why."""


def inspect_data(
    config: Config,
    out: Path | str,
    *,
    split: Split = "train",
    seed: int = 0,
    image_id: int | str | None = None,
    images: int = 1000,
) -> DataReport:
    """Writes a page on a data set and on what training with a configuration makes of it.

    Args:
        config: of the experiment.
        out: the folder of the page; see `write_page`.
        split: `config.data.train` or `config.data.validation`.
        seed: decides which pictures and boxes are drawn, at least 0.
        image_id: the data set's own number of the picture that single steps look at, or its file name; one with
            objects, drawn at random, if None.
        images: whose numbers are read, at most.

    Raises:
        ConfigError, BrokenImage or ValueError: see `open_study`; or `out` holds other files.
    """
    study = open_study(config, split, seed, image_id, images)
    page = write_page(out, f"Data of {_described(config, split)}", data_steps(study))
    return DataReport(page, len(study.numbers.images), study.numbers.broken)


def data_steps(study: Study) -> Iterator[Step]:
    """The steps of the report, in order."""
    yield from stored_steps(study)
    yield from row_steps(study)
    yield from number_steps(study)
    yield from target_steps(study)


def _described(config: Config, split: Split) -> str:
    source = config.data.train if split == "train" else config.data.validation
    if isinstance(source, CocoSource):
        return f"{source.folder}, {source.split}"
    return f"{type(source).__name__} ({split})"
