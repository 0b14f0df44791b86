"""The report on a model: one image through every step of the network."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import Config, ConfigError
from maskrcnn_jax.config.loading import load_config, read_config
from maskrcnn_jax.config.types import types_of
from maskrcnn_jax.data.images.reading import read_image
from maskrcnn_jax.inspect.choice import choose_image
from maskrcnn_jax.inspect.model.annotated import read_annotated
from maskrcnn_jax.inspect.model.inspected import InspectedImage, run_model
from maskrcnn_jax.inspect.model.score_steps import IMAGES, scores
from maskrcnn_jax.inspect.model.steps import STEPS
from maskrcnn_jax.inspect.page import write_page
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.model.mask_rcnn import MaskRCNN


def inspect_model(
    checkpoint: Path | str,
    out: Path | str,
    *,
    image: Path | str | None = None,
    data: Path | str | None = None,
    overrides: Sequence[str] = (),
    image_id: int | str | None = None,
    images: int | None = None,
    step: int | None = None,
    config: Config | None = None,
) -> tuple[Path, InspectedImage]:
    """Writes a page on one image in a network, from anchors to masks; returns its path and the image.

    Args:
        checkpoint: a run folder, or a file of weights of any system.
        out: the folder of the page; see `write_page`.
        image: the image; its objects are not known, so steps that need them are left out.
        data: a configuration, or a run folder, whose validation data has the image, where `image` is None; the
            checkpoint's own by default.
        overrides: changes of the configuration that `data` names; see `load_config`.
        image_id: the data set's own number of the image that the steps show, or its file name; one with
            objects, drawn at random, if None.
        images: number of images whose average precision is computed; 10 if None, 0 for none.
        step: the checkpoint of a run folder; the latest by default.
        config: the experiment of a run folder that names code of its own; see `load_pretrained`.

    Raises:
        BrokenImage or OSError: the image cannot be read.
        CheckpointError, ConfigError, WeightFileError or ConversionError: the checkpoint cannot be read, or the data.
        ValueError: there is no such image, `image` is given together with an option of the data, or `out` holds
            other files.
    """
    of_data = {"data": data, "image_id": image_id, "images": images, "overrides": " ".join(overrides) or None}
    for name, value in of_data.items():
        if image is not None and value is not None:
            raise ValueError(f"image = {image} and {name} = {value}: give an image or options of the data, not both")
    if images is not None and images < 0:
        raise ValueError(f"images = {images}: must be 0 or more")
    pixels = None if image is None else read_image(Path(image))
    model = load_pretrained(checkpoint, step, config=config)
    annotated = None
    if pixels is None:
        experiment = _experiment(Path(checkpoint), None if data is None else Path(data), overrides, model, config)
        source = experiment.data.validation.open()
        annotated = read_annotated(source, choose_image(source, image_id), experiment)
        pixels = annotated.example.image
    seen = run_model(model, pixels, annotated)
    about = str(image) if annotated is None else f"image {annotated.example.image_id}"
    steps = model_steps(seen, IMAGES if images is None else images)
    return write_page(out, f"{checkpoint} at work on {about}", steps), seen


def model_steps(seen: InspectedImage, images: int) -> Iterator[Step | None]:
    """The steps of the page, the last on up to `images` images of the data."""
    yield from (step(seen) for step in STEPS)
    yield scores(seen, images)


def _experiment(
    checkpoint: Path, data: Path | None, overrides: Sequence[str], model: MaskRCNN, config: Config | None
) -> Config:
    """The experiment whose validation data is used, with the checkpoint's own network."""
    if data is not None and not data.is_dir():
        return load_config(data, overrides, model=model.config)
    folder = checkpoint if data is None else data
    if overrides:
        raise ConfigError(f"{' '.join(overrides)}: changes a configuration; name its file with --data")
    if not folder.is_dir():
        raise ConfigError(f"{folder} names no data: give an image with --image, or a configuration with --data")
    saved = read_config(folder, types_of((config, model.config)), ("model", "customize", "data"))
    return dataclasses.replace(saved, model=model.config)
