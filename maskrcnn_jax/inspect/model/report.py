"""The report on a model at work: one picture through every step of the network."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import Config, ConfigError
from maskrcnn_jax.config.loading import load_config, read_config
from maskrcnn_jax.config.types import types_of
from maskrcnn_jax.data.images.reading import read_image
from maskrcnn_jax.inspect.choice import choose_image
from maskrcnn_jax.inspect.model.steps import model_steps
from maskrcnn_jax.inspect.model.subject import Subject, look
from maskrcnn_jax.inspect.model.truth import Truth, read_truth
from maskrcnn_jax.inspect.page import write_page
from maskrcnn_jax.model.mask_rcnn import MaskRCNN

PICTURES = 10
"""Of the data, whose average precision is taken if no other number is asked for."""


class ModelReport(NamedTuple):
    """A written report on a picture's way through a network."""

    page: Path
    subject: Subject
    truth: Truth | None
    """None of a picture without annotated objects."""


def inspect_model(
    checkpoint: Path | str,
    out: Path | str,
    *,
    image: Path | str | None = None,
    data: Path | str | None = None,
    overrides: Sequence[str] = (),
    image_id: int | str | None = None,
    pictures: int | None = None,
    step: int | None = None,
    config: Config | None = None,
) -> ModelReport:
    """Writes a page on what a network makes of one picture, from anchors to masks.

    Args:
        checkpoint: a run folder, or a file of weights of any system.
        out: the folder of the page; see `write_page`.
        image: the picture; nothing is known of its objects, so steps that need them are left out.
        data: a configuration, or a run folder, whose validation data has the picture, where `image` is None; the
            checkpoint's own by default.
        overrides: what to change in the configuration that `data` names; see `load_config`.
        image_id: the data set's own number of the picture to look at, or its file name; one with objects, drawn at
            random, if None.
        pictures: of the data, whose average precision is taken; 10 if None, and 0 leaves that out.
        step: the checkpoint of a run folder; the latest by default.
        config: the experiment of a run folder that names code of its own; see `load_pretrained`.

    Raises:
        BrokenImage or OSError: the picture cannot be read.
        CheckpointError, ConfigError, WeightFileError or ConversionError: the checkpoint cannot be read, or the data.
        ValueError: there is no such picture, `image` is given together with what is said of the data, or `out` holds
            other files.
    """
    of_data = {"data": data, "image_id": image_id, "pictures": pictures, "overrides": " ".join(overrides) or None}
    for name, value in of_data.items():
        if image is not None and value is not None:
            raise ValueError(
                f"image = {image} and {name} = {value}: the picture is your own or the data's; give one of both"
            )
    if pictures is not None and pictures < 0:
        raise ValueError(f"pictures = {pictures}: must be 0 or more")
    picture = None if image is None else read_image(Path(image))
    model = load_pretrained(checkpoint, step, config=config)
    truth = None
    if picture is None:
        experiment = _experiment(Path(checkpoint), None if data is None else Path(data), overrides, model)
        source = experiment.data.validation.open()
        truth = read_truth(source, choose_image(source, image_id), experiment)
        picture = truth.example.image
    subject = look(model, picture)
    about = str(image) if truth is None else f"picture {truth.example.image_id}"
    page = write_page(
        out,
        f"{checkpoint} at work on {about}",
        model_steps(model, subject, truth, PICTURES if pictures is None else pictures),
    )
    return ModelReport(page, subject, truth)


def _experiment(checkpoint: Path, data: Path | None, overrides: Sequence[str], model: MaskRCNN) -> Config:
    """The experiment whose validation data is looked at, with the checkpoint's own network."""
    if data is not None and not data.is_dir():
        return load_config(data, overrides, model=model.config)
    folder = checkpoint if data is None else data
    if overrides:
        raise ConfigError(f"{' '.join(overrides)}: changes a configuration; name its file with --data")
    if not folder.is_dir():
        raise ConfigError(f"{folder} knows of no data: give a picture with --image, or a configuration with --data")
    return dataclasses.replace(
        read_config(folder, types_of(model.config), ("model", "customize", "data")), model=model.config
    )
