"""This package's own weight files: `.safetensors` with the model's configuration as metadata."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from maskrcnn_jax.checkpoints.convert.layout import Same
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, Rule
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.config.serialization import from_json, to_plain
from maskrcnn_jax.config.types import FindType, refuse
from maskrcnn_jax.files.ending import require_ending
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.writing import write_bytes

FORMAT = "maskrcnn_jax"
ENDINGS = (".safetensors",)
KNOWN_BY = ("backbone.stem.conv.kernel", "rpn_head.logits.kernel")
"""At least one is in every model of this package, and none in another system's."""


def written_files(path: Path) -> list[Path]:
    """The files that `write_safetensors` writes for a path.

    Raises:
        WrongEnding: the path does not end in .safetensors.
    """
    require_ending(path, ENDINGS, "a file of safetensors")
    return [path]


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], config: ModelConfig, *, overwrite: bool = True
) -> list[Path]:
    """Writes a model to one file, which `load_pretrained` and every reader of safetensors open.

    Args:
        path: the file; replaced only when the new one is complete.
        arrays: parameters and statistics by name.
        config: of the model that has them.
        overwrite: whether an existing file may be replaced.

    Returns:
        What was written.

    Raises:
        WrongEnding: the path does not end in .safetensors.
        OSError: the file cannot be written, or exists and may not be replaced.
    """
    written = written_files(path)
    metadata = {"format": FORMAT, "config": json.dumps(to_plain(config))}
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)
    write_bytes(path, content, overwrite=overwrite)
    return written


def read_config(metadata: Mapping[str, str], find_type: FindType = refuse) -> ModelConfig | None:
    """The configuration in a file's metadata; None if the file is not this package's.

    Raises:
        ConfigError: a field is unknown or wrong.
        ConversionError: the configuration is no JSON.
    """
    if metadata.get("format") != FORMAT:
        return None
    try:
        values = parse_json(metadata.get("config", "").encode())
    except JsonError as error:
        raise ConversionError(f"its configuration is no JSON ({error}); write the file again") from error
    return from_json(ModelConfig, values, "model", find_type)


def rules(names: Iterable[str], config: ModelConfig, source_names: Collection[str]) -> dict[str, Rule]:
    """Every array is read as it is."""
    return {name: Rule((name,), Same().read) for name in names}
