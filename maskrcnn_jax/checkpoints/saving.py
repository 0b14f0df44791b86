"""Writes a model to a file for exchange."""

from pathlib import Path

import jax

from maskrcnn_jax.checkpoints.convert import own, torchvision_export
from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.nn.params import flatten

ENDINGS = {"safetensors": own.ENDINGS, "torchvision": torchvision_export.ENDINGS}
"""Of each format's files."""


def written_files(path: Path) -> list[Path]:
    """The files that `save_pretrained` writes.

    Raises:
        WrongEnding: the path's ending is that of neither format.
        ConfigError: Python would import a file in place of a module that it needs.
    """
    require_ending(path, [ending for endings in ENDINGS.values() for ending in endings], "a file of weights")
    return torchvision_export.written_files(path) if _is_torchvision(path) else own.written_files(path)


def save_pretrained(model: MaskRCNN, path: Path | str, *, overwrite: bool = True) -> list[Path]:
    """Writes a model, such that `load_pretrained` opens it.

    Args:
        model: the network.
        path: the file; replaced only when the new one is complete. NAME.safetensors has this package's names and the
            configuration; NAME.pth or .pt is torchvision's state dict, with a Python file beside it that builds the
            model there.
        overwrite: whether existing files may be replaced.

    Returns:
        The files that were written.

    Raises:
        ConfigError: torchvision has no such model.
        WrongEnding: the path has another ending.
        OSError: a file cannot be written, or exists and may not be replaced.
    """
    path = Path(path)
    written_files(path)
    write = torchvision_export.write_torchvision if _is_torchvision(path) else own.write_safetensors
    _, params, statistics = flatten(model)
    return write(path, jax.device_get(params | statistics), model.config, overwrite=overwrite)


def _is_torchvision(path: Path) -> bool:
    return path.suffix.lower() in torchvision_export.ENDINGS
