"""Writes a model to a file for exchange."""

from pathlib import Path
from typing import Literal

import jax

from maskrcnn_jax.checkpoints.convert import own, torchvision_export
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.params import flatten

Format = Literal["torchvision", "safetensors"]


def written_files(path: Path, to: Format | None = None) -> list[Path]:
    """The files that `save_pretrained` writes.

    Raises:
        WrongEnding: the path's ending is not the format's.
        ConfigError: Python would import a file in place of a module that it needs.
    """
    return torchvision_export.written_files(path) if _is_torchvision(path, to) else own.written_files(path)


def save_pretrained(
    model: MaskRCNN, path: Path | str, to: Format | None = None, *, overwrite: bool = True
) -> list[Path]:
    """Writes a model, such that `load_pretrained` opens it.

    Args:
        model: the network.
        path: the file; replaced only when the new one is complete.
        to: "safetensors" is one .safetensors file with this package's names and the configuration; "torchvision" is a
            state dict, .pth or .pt, and beside it a Python file that builds torchvision's model. The path's ending
            decides if None.
        overwrite: whether existing files may be replaced.

    Returns:
        The files that were written.

    Raises:
        ConfigError: torchvision has no such model.
        WrongEnding: the path's ending is not the format's.
        OSError: a file cannot be written, or exists and may not be replaced.
    """
    write = torchvision_export.write_torchvision if _is_torchvision(Path(path), to) else own.write_safetensors
    _, params, statistics = flatten(model)
    return write(Path(path), jax.device_get(params | statistics), model.config, overwrite=overwrite)


def _is_torchvision(path: Path, to: Format | None) -> bool:
    return to == "torchvision" if to else path.suffix.lower() in torchvision_export.ENDINGS
