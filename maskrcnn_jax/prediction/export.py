"""A model as one StableHLO program with its weights; it runs with JAX alone, without this package."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.files.writing import written_whole
from maskrcnn_jax.messages.config_error import require
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, ModelConfig
from maskrcnn_jax.prediction.detector import Detector

PLATFORMS = ("cpu", "cuda", "tpu")


def export_model(
    model: MaskRCNN,
    *,
    batch: int | None = None,
    size: tuple[int, int] | None = None,
    platforms: Sequence[str] = PLATFORMS,
) -> jax.export.Exported:
    """The prediction of a model as a standalone program.

    It takes images `[b, H, W, 3]` uint8 RGB, resized and padded as `model.config.input` says (`fit` does it), and their
    sizes `[b, 2]` float32, `(height, width)` of the images inside the padding. It returns a dict: boxes `[b, D, 4]`
    in pixels from the images' upper left corners, scores `[b, D]`, labels `[b, D]`, valid `[b, D]`; of a model with
    mask head masks `[b, D, m, m]`, probabilities over each box; and of one with further heads extras, a dict of their
    results `[b, D, …]` by name. It normalises the images itself.

    Args:
        model: the network.
        batch: images at a time; None for any number.
        size: padded (height, width) of the images; the model's first bucket by default.
        platforms: that it is to run on, of cpu, cuda, rocm and tpu.

    Raises:
        ConfigError: a side is not a multiple of 32, the batch or the platforms are empty, or the model has no bucket
            and no size is given.
    """
    require(batch is None or batch > 0, "batch", batch, "must be at least 1")
    require(len(platforms) > 0, "platforms", tuple(platforms), "must name at least one of cpu, cuda, rocm and tpu")
    height, width = _bucket(model.config, size)
    detector = Detector(model)

    def predict(images, sizes):
        found = detector(images, sizes)
        return {name: value for name, value in found._asdict().items() if jax.tree.leaves(value)}

    (count,) = jax.export.symbolic_shape("b") if batch is None else (batch,)
    images = jax.ShapeDtypeStruct((count, height, width, 3), jnp.uint8)
    sizes = jax.ShapeDtypeStruct((count, 2), jnp.float32)
    return jax.export.export(jax.jit(predict), platforms=tuple(dict.fromkeys(platforms)))(images, sizes)


def describe(exported: jax.export.Exported, config: ModelConfig) -> dict[str, Any]:
    """Platforms, input and classes of the program as plain values for JSON."""
    images, _ = exported.in_avals
    count, height, width, _ = images.shape
    return {
        "platforms": list(exported.platforms),
        "images": {"batch": count if isinstance(count, int) else None, "height": height, "width": width},
        "class_names": list(config.class_names),
        "num_classes": config.num_classes,
        "input": dataclasses.asdict(config.input),
        "jax": jax.__version__,
        "calling_convention": exported.calling_convention_version,
    }


def written_files(out: Path) -> tuple[Path, Path]:
    """The files that `write_export` writes for a path: the program and its description.

    Raises:
        WrongEnding: the path does not end in .stablehlo.
    """
    require_ending(out, (".stablehlo",), "a StableHLO program, serialised by jax.export")
    return out, out.with_name(f"{out.name}.json")


def write_export(
    exported: jax.export.Exported, config: ModelConfig, out: Path, *, overwrite: bool = True
) -> tuple[Path, Path]:
    """Writes the program, and its description as JSON beside it under the same name.

    Both are complete before either replaces an earlier file.

    Raises:
        WrongEnding: the path does not end in .stablehlo.
        OSError: a file cannot be written, or exists and may not be replaced.
    """
    program, description = written_files(out)
    with written_whole(program, overwrite=overwrite) as file, written_whole(description, overwrite=overwrite) as text:
        file.write_bytes(exported.serialize())
        text.write_text(json.dumps(describe(exported, config), indent=2) + "\n", encoding="utf-8")
    return program, description


def _bucket(config: ModelConfig, size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        remedy = "the model takes images of any size; say which the program is for: --size HEIGHT WIDTH"
        require(len(config.input.buckets) > 0, "model.input.buckets", config.input.buckets, remedy)
        return config.input.buckets[0]
    fits = all(side > 0 and side % 32 == 0 for side in size)
    require(fits, "size", size, "both sides must be positive multiples of 32, the stride of P5")
    return size
