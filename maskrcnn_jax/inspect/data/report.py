"""The report on a data set: images, training samples and targets."""

from pathlib import Path

from maskrcnn_jax.config import CocoSource, Config
from maskrcnn_jax.inspect.data.inspected import InspectedData, Split, open_data
from maskrcnn_jax.inspect.data.steps import STEPS
from maskrcnn_jax.inspect.page import write_page


def inspect_data(
    config: Config,
    out: Path | str,
    *,
    split: Split = "train",
    seed: int = 0,
    image_id: int | str | None = None,
    images: int = 1000,
) -> tuple[Path, InspectedData]:
    """Writes a page on a data set and on its training samples with a configuration; returns its path and the data.

    `write_page` says what the folder `out` may hold, `open_data` what the other arguments mean.

    Raises:
        ConfigError, BrokenImage or ValueError: See `open_data`; or `out` holds other files.
    """
    data = open_data(config, split, seed=seed, image_id=image_id, images=images)
    source = config.data.train if split == "train" else config.data.validation
    title = f"{type(source).__name__} ({split})"
    if isinstance(source, CocoSource):
        title = f"{source.folder}, {source.split}"
    return write_page(out, f"Data of {title}", (step(data) for step in STEPS)), data
