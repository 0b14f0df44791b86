"""Detectron2: settings of the model from the buffers in a file and from the configuration beside it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.checkpoints.convert.detectron2_names import is_backbone
from maskrcnn_jax.checkpoints.convert.detectron2_yaml import YamlReading, read_yaml
from maskrcnn_jax.checkpoints.convert.parts import resnet
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, as_numbers
from maskrcnn_jax.checkpoints.convert.values import Reading
from maskrcnn_jax.config import ModelConfig

CELL_ANCHORS = re.compile(r"(?:proposal_generator\.)?anchor_generator\.cell_anchors\.(\d)")
LEVELS = 5
NEAR = 1e-3
"""Relative difference of sizes that float32 leaves."""


def read(arrays: Mapping[str, Any], config: ModelConfig, path: Path | None) -> Reading:
    """The model with the normalisation and anchors of a file's buffers and the settings of "config.yaml" beside it.

    Where neither has them, the normalisation and the stride of the backbone are assumed.

    Args:
        arrays: of the network, by name.
        config: the model that they are recognised as.
        path: of the file; None if there is none.

    Raises:
        ConversionError: a buffer or the configuration is of a model that is not supported.
    """
    if is_backbone(arrays):
        return Reading(config, assumed=_assumed(config, "a backbone's file does not hold its input normalisation"))
    beside = YamlReading(config) if path is None else read_yaml(path, config)
    known = set(beside.known)
    read_config, pixels = _with_pixels(arrays, beside.config)
    read_config, anchors = _with_anchors(arrays, read_config)
    assumed = _assumed(
        config, "neither the file nor a config.yaml beside it has it; it is the default of Detectron2's models"
    )
    if pixels:
        known |= {"input.mean", "input.std", "input.bgr"}
    return Reading(
        read_config,
        (*beside.notes, *pixels, *anchors),
        {name: reason for name, reason in assumed.items() if name not in known},
    )


def _assumed(config: ModelConfig, reason: str) -> dict[str, str]:
    names = ["input.mean", "input.std", "input.bgr"]
    if resnet(config).depth >= 50:
        names.append("backbone.stride_in_1x1")
    return dict.fromkeys(names, reason)


def _with_pixels(arrays: Mapping[str, Any], config: ModelConfig) -> tuple[ModelConfig, tuple[str, ...]]:
    """The model with the buffers `pixel_mean` and `pixel_std`; they are in the order of the input's channels."""
    values: dict[str, tuple[float, ...]] = {}
    for field in ("mean", "std"):
        if (name := f"pixel_{field}") in arrays:
            array = as_numbers(arrays[name], name).ravel()
            if array.size != 3 or not np.isfinite(array).all() or (field == "std" and (array <= 0).any()):
                raise ConversionError(f"{name} is {array[:6].tolist()}: wanted a finite number for each of 3 channels")
            values[field] = tuple(round(float(value), 4) for value in array)
    if not values:
        return config, ()
    # Red is the brightest channel of photographs, so its mean shows the order.
    mean = values.get("mean", ())
    bgr = mean[0] < mean[2] if mean and mean[0] != mean[2] else config.input.bgr
    ordered: dict[str, Any] = {field: value[::-1] if bgr else value for field, value in values.items()}
    found = replace(config, input=replace(config.input, bgr=bgr, **ordered))
    if found.input == config.input:
        return found, ("pixel_mean and pixel_std of the file are those of the model",)
    return found, (f"pixel_mean and pixel_std of the file are taken: {_pixels(found)}",)


def _pixels(config: ModelConfig) -> str:
    return f"model.input.mean = {config.input.mean}, std = {config.input.std}, bgr = {config.input.bgr}"


def _with_anchors(arrays: Mapping[str, Any], config: ModelConfig) -> tuple[ModelConfig, tuple[str, ...]]:
    """The model with the buffers `cell_anchors`, the anchors of each level about the origin."""
    cells = {int(match[1]): name for name in arrays if (match := CELL_ANCHORS.fullmatch(name))}
    if not cells:
        return config, ()
    sizes, ratios = [], []
    for name in (cells[level] for level in sorted(cells)):
        boxes = as_numbers(arrays[name], name)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) or not np.isfinite(boxes).all():
            raise ConversionError(f"{name} {boxes.shape} holds no anchors: wanted finite boxes [n, 4]")
        width, height = (boxes[:, 2:] - boxes[:, :2]).T.astype(float)
        if (width <= 0).any() or (height <= 0).any() or (np.abs(boxes[:, :2] + boxes[:, 2:]) > NEAR * 100).any():
            raise ConversionError(f"{name} holds boxes that are empty or not about the origin; anchors here are")
        size = np.sqrt(width * height)
        if (np.abs(size / size[0] - 1) > NEAR).any():
            raise ConversionError(f"{name} has anchors of sizes {size.round(2).tolist()}; here a level has one size")
        sizes.append(round(float(size[0]), 2))
        ratios.append(tuple((height / width).round(3).tolist()))
    if sorted(cells) != list(range(LEVELS)):
        raise ConversionError(f"cell_anchors are of levels {sorted(cells)}; here they are of 0 to {LEVELS - 1}")
    if len(set(ratios)) > 1:
        raise ConversionError(f"cell_anchors have other ratios on each level, {ratios}; here all levels have the same")
    anchors = config.rpn.anchors
    is_same = np.allclose(sizes, anchors.sizes, rtol=NEAR) and len(ratios[0]) == len(anchors.aspect_ratios)
    if is_same and np.allclose(ratios[0], anchors.aspect_ratios, rtol=NEAR):
        return config, ()
    anchors = replace(anchors, sizes=tuple(sizes), aspect_ratios=ratios[0])
    found = replace(config, rpn=replace(config.rpn, anchors=anchors))
    return found, (f"cell_anchors of the file are taken: sizes {anchors.sizes}, aspect ratios {anchors.aspect_ratios}",)
