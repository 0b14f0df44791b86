"""The model that a command of the command line works with."""

from pathlib import Path

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError
from maskrcnn_jax.checkpoints.pretrained import load_pretrained, trained_config
from maskrcnn_jax.config import Config
from maskrcnn_jax.config.loading import read_trusted_config
from maskrcnn_jax.config.types import import_type
from maskrcnn_jax.distributed.devices import require_devices
from maskrcnn_jax.model.mask_rcnn import MaskRCNN


def trusted_experiment(source: Path) -> Config:
    """The experiment of a run folder, or the network of a .safetensors file, whose author the user trusts.

    The code that it names is run.

    Raises:
        ConfigError: What it names cannot be imported, or it is a file of another kind, which names no code.
    """
    if source.suffix == ".safetensors":
        return Config(model=trained_config(source, import_type))
    return read_trusted_config(source)


def load_trained(source: Path, step: int | None, trust_code: bool) -> MaskRCNN:
    """The model of a run folder or weight file.

    Raises:
        ValueError: It cannot be loaded, or it names code and is not trusted.
    """
    require_devices()
    try:
        return load_pretrained(source, step, config=trusted_experiment(source) if trust_code else None)
    except CheckpointError as error:
        raise ValueError(str(error)) from error
