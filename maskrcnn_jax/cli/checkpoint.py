"""The model that a command of the command line works with."""

from pathlib import Path

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config.loading import read_trusted_config
from maskrcnn_jax.distributed.devices import require_devices
from maskrcnn_jax.model.mask_rcnn import MaskRCNN


def load_trained(source: Path, step: int | None, trust_code: bool) -> MaskRCNN:
    """The model of a run folder or weight file.

    Raises:
        ValueError: It cannot be loaded, or the run folder names code and is not trusted.
    """
    require_devices()
    try:
        return load_pretrained(source, step, config=read_trusted_config(source) if trust_code else None)
    except CheckpointError as error:
        raise ValueError(str(error)) from error
