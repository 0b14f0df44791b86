"""Selects the image of a data set that a report shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskrcnn_jax.data import BrokenImage, ImageSource
from maskrcnn_jax.data.pipeline import require_images


def choose_image(source: ImageSource, image_id: int | str | None, seed: int = 0) -> int:
    """The position of an image, by the data set's own number or its file name; one with objects, at random, if None.

    Raises:
        ConfigError: the source is empty.
        BrokenImage: no number is given, and every image is broken.
        ValueError: the source has no image of this number or name.
    """
    require_images(source)
    return draw_image(source, seed) if image_id is None else find_image(source, image_id)


def find_image(source: ImageSource, image_id: int | str) -> int:
    """The position of the image with a number or file name.

    Raises:
        ValueError: there is no such image.
    """
    known: Sequence[Any] = source.file_names if isinstance(image_id, str) else source.image_ids
    if image_id in known:
        return known.index(image_id)
    some = ", ".join(map(str, known[:5])) + (", …" if len(known) > 5 else "")
    raise ValueError(
        f"image_id = {image_id}: the data has no such image; it has {len(known)}, "
        f"from {min(known)} to {max(known)}: {some}"
    )


def draw_image(source: ImageSource, seed: int) -> int:
    """The position of an image with objects that are not crowds, drawn at random; any image if there is none.

    Raises:
        BrokenImage: every image is broken.
    """
    order = np.random.default_rng(seed).permutation(len(source))
    counts = np.asarray(source.num_objects)
    other, broken = None, None
    for position in order[np.argsort(counts[order] == 0, kind="stable")].tolist():  # those without objects last
        try:
            example = source[position]
        except BrokenImage as error:
            broken = error
            continue
        if not example.is_crowd.all():
            return position
        other = position if other is None else other
        if not counts[position]:
            break
    if other is None:
        raise BrokenImage(f"no image of {len(source)} can be read, the last: {broken}")
    return other
