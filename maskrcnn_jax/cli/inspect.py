"""The commands of `python -m maskrcnn_jax inspect`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from maskrcnn_jax.files.printable import printable
from maskrcnn_jax.messages.counts import pluralize

INSPECT = tyro.extras.SubcommandApp()
"""Each command imports what it needs when it is called, so that `--help` is quick."""


@INSPECT.command(name="data")
def inspect_data(
    config: Annotated[Path, tyro.conf.Positional],
    overrides: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: Path,
    split: Literal["train", "validation"] = "train",
    seed: int = 0,
    image_id: int | str | None = None,
    images: int = 1000,
) -> None:
    """A data set as training uses it: samples, sizes, augmentation, anchors, RoIs and their targets.

    Args:
        config: An experiment's Python file, or a name that `maskrcnn-jax configs` lists.
        overrides: What to change in it, after two dashes: -- --data.train.folder data/mine.
        out: Folder for the page. An earlier page there is replaced.
        split: Which of the two data sets of the experiment.
        seed: Decides which images and boxes are drawn.
        image_id: The data set's own number of the image that single steps show, or its file name; drawn at
            random if left out.
        images: Images that are counted and measured, at most.
    """
    from maskrcnn_jax.config.loading import load_config
    from maskrcnn_jax.distributed.devices import require_devices
    from maskrcnn_jax.inspect.data.report import inspect_data as write
    from maskrcnn_jax.training.compilation import enable_compilation_cache

    require_devices()
    enable_compilation_cache()
    page, data = write(load_config(config, overrides), out, split=split, seed=seed, image_id=image_id, images=images)
    read, broken = data.numbers
    for message in broken:
        print(printable(f"broken: {message}"))
    print(printable(f"{pluralize(len(read), 'image')} read, {len(broken)} broken: {page}"))


@INSPECT.command(name="model")
def inspect_model(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    overrides: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: Path,
    image: Path | None = None,
    data: Path | None = None,
    image_id: int | str | None = None,
    images: int | None = None,
    step: int | None = None,
    trust_code: bool = False,
) -> None:
    """A model at work on one image: every step from anchors to masks, and what it gets wrong.

    Args:
        checkpoint: A run folder, or a weight file of torchvision, Detectron2, Matterport or this package.
        overrides: What to change in --data's configuration, after two dashes: -- --data.validation.folder data/mine.
        out: Folder for the page. An earlier page there is replaced.
        image: Your image. Without annotated objects the steps that need them are left out.
        data: An experiment's Python file, or a run folder, whose validation data has the image if --image is left
            out; the run folder's own by default.
        image_id: The data set's own number of the image that single steps show, or its file name; drawn at
            random if left out.
        images: Of the data, whose average precision is computed, at most; 10 if left out, and 0 for none.
        step: The checkpoint of a run folder; the latest if left out.
        trust_code: Run the code that the checkpoint names, where parts of the network are not of this package.
    """
    from maskrcnn_jax.checkpoints.checkpoint import CheckpointError
    from maskrcnn_jax.cli.checkpoint import trusted_experiment
    from maskrcnn_jax.distributed.devices import require_devices
    from maskrcnn_jax.inspect.model.report import inspect_model as write
    from maskrcnn_jax.training.compilation import enable_compilation_cache

    require_devices()
    enable_compilation_cache()
    try:
        page, seen = write(
            checkpoint,
            out,
            image=image,
            data=data,
            overrides=overrides,
            image_id=image_id,
            images=images,
            step=step,
            config=trusted_experiment(checkpoint) if trust_code else None,
        )
    except CheckpointError as error:
        raise ValueError(str(error)) from error
    proposals, detections = (int(found.valid.sum()) for found in (seen.trace.proposals, seen.trace.detections))
    print(printable(f"{pluralize(proposals, 'proposal')}, {pluralize(detections, 'detection')}: {page}"))


@INSPECT.command(name="weights")
def inspect_weights(
    source: Annotated[Path, tyro.conf.Positional],
    out: Path,
    against: Path | None = None,
    step: int | None = None,
    against_step: int | None = None,
) -> None:
    """Every tensor of a model: its numbers, what is wrong with it, histograms, and what changed.

    Args:
        source: A run folder, or a weight file of any system.
        out: Folder for the page. An earlier page there is replaced.
        against: A run folder or weight file to compare with: what the source was before.
        step: The checkpoint of a run folder; the latest if left out.
        against_step: The checkpoint to compare with, of the source itself if --against is left out.
    """
    from maskrcnn_jax.checkpoints.checkpoint import CheckpointError
    from maskrcnn_jax.distributed.devices import require_devices
    from maskrcnn_jax.inspect.weights.report import inspect_weights as write

    require_devices()
    try:
        page, weights = write(source, out, against, step=step, against_step=against_step)
    except CheckpointError as error:
        raise ValueError(str(error)) from error
    tensors = weights.tensors
    flagged = [one for one in tensors if one.flags]
    for one in flagged:
        print(printable(f"{one.name}: {'; '.join(one.flags)}"))
    print(printable(f"{len(flagged)} of {len(tensors)} tensors are flagged: {page}"))
