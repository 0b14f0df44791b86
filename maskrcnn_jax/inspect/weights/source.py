"""The weights in a run folder or in a file of any system, without building the network."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from maskrcnn_jax.checkpoints.checkpoint import load_weights
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, convert
from maskrcnn_jax.checkpoints.convert.systems import recognise
from maskrcnn_jax.checkpoints.formats.files import WeightFile, open_weights
from maskrcnn_jax.checkpoints.pretrained import abstract_model
from maskrcnn_jax.config import Config, ModelConfig
from maskrcnn_jax.config.loading import NETWORK, read_config
from maskrcnn_jax.config.types import ForeignTypeError
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn import params as weights

PARTS = ("backbone", "fpn", "rpn_head", "box_head", "mask_head")
"""In the order of the forward pass."""
ORDER = {"stem": -1, "output": 1, "upsample": 1, "extra": 2, "logits": 3, "deltas": 3}
"""Layers of a part that are not in alphabetical order."""


class WeightSource(NamedTuple):
    """The arrays of a network and their origin."""

    name: str
    """As the user named it."""
    arrays: Mapping[str, np.ndarray]
    """By this project's names from the stem to the heads; or by the file's own, in the file's order."""
    about: str
    """The origin of the arrays, in a sentence."""
    config: ModelConfig | None
    """None if the names are the file's own, or the configuration names types outside this package."""


def from_model(model: MaskRCNN, name: str, about: str) -> WeightSource:
    """The arrays of a network in memory; reports call it `name`."""
    _, params, statistics = weights.flatten(model)
    return WeightSource(name, in_order(jax.device_get(params | statistics)), about, model.config)


def read_source(source: Path | str, step: int | None = None, *, as_stored: bool = False) -> WeightSource:
    """Reads the arrays in a run folder or a file; missing ones are not filled in.

    Args:
        source: a run folder, or a file of weights of any system.
        step: the checkpoint of a run folder; the latest by default.
        as_stored: keep a file's own names and layouts. They are also kept if the format is not recognised.

    Raises:
        CheckpointError, ConfigError or WeightFileError: as `load_pretrained`.
        ValueError: a step is given for a file.
    """
    path = Path(source)
    if path.is_dir():
        saved = load_weights(path, step)
        params, kind = (saved.params, "weights") if saved.ema is None else (saved.ema, "moving average of the weights")
        about = f"The {kind} at step {saved.step} of the run."
        arrays = in_order(params | saved.statistics)
        try:
            return WeightSource(str(source), arrays, about, read_config(path, sections=NETWORK).model)
        except ForeignTypeError as error:
            return WeightSource(str(source), arrays, f"{about} Its configuration is not read: {error}.", None)
    if step is not None:
        raise ValueError(f"step = {step}: only run folders have steps; leave it out")
    file = open_weights(path)
    if as_stored:
        return WeightSource(str(source), dict(file), "In the file's own names.", None)
    try:
        return _converted(file, str(source))
    except (ConversionError, ForeignTypeError) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        about = f"In the file's own names, as it does not convert: {reason}."
        return WeightSource(str(source), dict(file), about, None)


def with_same_names(*sources: WeightSource) -> tuple[WeightSource, ...]:
    """Sources that can be compared: where one has its file's own names, those of the other files are kept, too."""
    if all(source.config is not None for source in sources):
        return sources
    return tuple(
        read_source(source.name, as_stored=True) if source.config and Path(source.name).is_file() else source
        for source in sources
    )


def _converted(file: WeightFile, name: str) -> WeightSource:
    """The arrays by this project's names.

    Raises:
        ConversionError: the format is not recognised, or arrays do not fit.
    """
    found = recognise(file)
    _, params, statistics = weights.flatten(abstract_model(dataclasses.replace(Config(), model=found.config)))
    shapes = {name: leaf.shape for name, leaf in (params | statistics).items()}
    rules = found.system.rules(shapes, found.config, found.arrays.keys())
    wanted = {name: shape for name, shape in shapes.items() if name in rules}
    arrays = convert(found.arrays, rules, wanted, found.system.unused(found.arrays))
    absent = {name.partition(".")[0] for name in shapes} - {name.partition(".")[0] for name in wanted}
    about = f"{len(arrays)} arrays of the file in this project's names and layouts"
    about += f"; it has none for {', '.join(sorted(absent))}." if absent else "."
    about += "".join(f" {note[0].upper()}{note[1:]}." for note in found.notes)
    assumed = [f"model.{field}" for field in found.assumed]
    about += f" Assumed, as the file does not say: {', '.join(assumed)}." if assumed else ""
    return WeightSource(name, in_order(arrays), about, found.config)


def in_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by this project's names in the order of the forward pass; `layer1.10` comes after `layer1.9`."""

    def key(item: tuple[str, np.ndarray]) -> tuple:
        part, *rest = item[0].split(".")
        known = PARTS.index(part) if part in PARTS else len(PARTS)
        texts = filter(None, re.split(r"[.]|(\d+)", item[0]))
        natural = [(0, int(text), "") if text.isdigit() else (1, 0, text) for text in texts]
        return known, ORDER.get(rest[0], 0) if rest else 0, natural

    return dict(sorted(arrays.items(), key=key))
