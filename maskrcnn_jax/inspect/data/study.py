"""What a report on a data set looks at: its numbers, and one picture on its way into a batch."""

from typing import Literal, NamedTuple

import numpy as np

from maskrcnn_jax.config import Config
from maskrcnn_jax.data import BrokenImage, Example, ImageSource
from maskrcnn_jax.data.pipeline import require_images
from maskrcnn_jax.data.transforms.buckets import Bucket
from maskrcnn_jax.inspect.choice import choose_image
from maskrcnn_jax.inspect.data.numbers import DataNumbers, read_numbers
from maskrcnn_jax.inspect.data.rows import bucket_of

Split = Literal["train", "validation"]


class Study(NamedTuple):
    """A data set and the picture that single steps look at."""

    config: Config
    source: ImageSource
    numbers: DataNumbers
    """Of pictures drawn at random."""
    example: Example
    bucket: Bucket
    """The padded (height, width) that its row in a batch has."""
    seed: int
    """Decides everything that is drawn."""

    def rng(self, step: int) -> np.random.Generator:
        """The generator of one step of the report, whatever steps there are before it."""
        return np.random.default_rng((self.seed, step))


def open_study(config: Config, split: Split, seed: int, image_id: int | str | None, images: int) -> Study:
    """Opens a data set and reads the numbers of its pictures.

    Args:
        config: of the experiment.
        split: `config.data.train` or `config.data.validation`.
        seed: decides which pictures are looked at, at least 0.
        image_id: the data set's own number of the picture that single steps look at, or its file name; one with
            objects, drawn at random, if None.
        images: whose numbers are read, at most.

    Raises:
        ConfigError: the data set cannot be opened, is empty, or a picture fits no bucket.
        BrokenImage: the picture asked for, or every picture, cannot be decoded.
        ValueError: there is no picture of this number, `images` is below 1 or `seed` below 0.
    """
    if images < 1:
        raise ValueError(f"images = {images}: look at one or more")
    if seed < 0:
        raise ValueError(f"seed = {seed}: take 0 or more")
    source = (config.data.train if split == "train" else config.data.validation).open()
    require_images(source)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(source), min(images, len(source)), replace=False)
    numbers = read_numbers(source, drawn.tolist(), config.data.threads)
    if not numbers.images:
        raise BrokenImage(f"no picture of {len(numbers.broken)} can be read, the first: {numbers.broken[0]}")
    position = choose_image(source, image_id, seed)
    return Study(config, source, numbers, source[position], bucket_of(source, position, config.data), seed)
