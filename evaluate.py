"""Scores a checkpoint with COCO's box and mask AP.

    python evaluate.py configs/coco_mini.py --checkpoint runs/coco_mini [--step 1000] [--section.field value …]

Writes `detections.json` (COCO's results format) and `metrics.json` to the run folder.
"""

import argparse
import contextlib
import sys
from collections import deque
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.config import Config, ConfigError, require
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.pipeline import validation_batches
from maskrcnn_jax.data.source import BrokenImage, ImageSource
from maskrcnn_jax.evaluation import CocoEvaluator
from maskrcnn_jax.experiment import load_config
from maskrcnn_jax.model import MaskRCNN
from maskrcnn_jax.parallel import data_mesh, to_devices
from maskrcnn_jax.predictor import detect
from maskrcnn_jax.pretrained import with_weights
from maskrcnn_jax.weights import split

SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl")
MENDABLE = (ConfigError, CheckpointError, BrokenImage)
"""What the user can mend: on the command line the message of these says all."""


def evaluate(model: MaskRCNN, source: ImageSource, config: Config, folder: Path, mesh: Mesh) -> dict[str, float]:
    """Detects in every image of a source, scores the detections and writes both down.

    While the device looks at a batch, the host pastes and encodes the masks of the one before.

    Returns:
        Figures by name, `"bbox/AP"` … `"segm/AP50"` …, in [0, 1]; see `evaluation.coco_metrics`.
    """
    weights = split(model)
    head = config.model.mask_head
    evaluator = CocoEvaluator(
        source.coco(), source.category_ids, masks=head is not None, paste="exact" if head is None else head.paste
    )
    batches = validation_batches(
        source, config.model.input, config.data.validation_batch_size, threads=config.data.threads
    )
    pending: deque[tuple[Any, ...]] = deque()
    with jax.set_mesh(mesh), contextlib.closing(batches):
        for batch, records in batches:
            pending.append((detect(*weights, *to_devices((batch.images, batch.image_sizes), mesh)), records))
            if len(pending) > 1:
                evaluator.add(*jax.device_get(pending.popleft()))
    evaluator.add(*jax.device_get(pending.pop()))
    return evaluator.write(folder)


def require_fit(config: Config, source: ImageSource, devices: int) -> None:
    """Checks what a configuration and the data to evaluate on must agree in.

    Raises:
        ConfigError: the data is empty or has another number of classes, or a batch does not divide among the devices.
    """
    count, classes = config.data.validation_batch_size, len(source.class_names)
    require(len(source) > 0, "data.validation", config.data.validation, "holds no image; choose another split")
    remedy = f"the data has {classes} classes; set --model.num-classes {classes}"
    require(classes == config.model.num_classes, "model.num_classes", config.model.num_classes, remedy)
    remedy = f"must be a multiple of the number of devices, {devices}"
    require(count % devices == 0, "data.validation_batch_size", count, remedy)


def table(figures: dict[str, float]) -> str:
    """The main figures as text, one line per kind."""
    kinds = [kind for kind in ("bbox", "segm") if f"{kind}/AP" in figures]
    return "\n".join(
        "  ".join([kind, *(f"{name} {figures[f'{kind}/{name}']:.3f}" for name in SUMMARY)]) for kind in kinds
    )


def main() -> None:
    """Evaluates as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a file like configs/shapes.py")
    parser.add_argument("--checkpoint", required=True, type=Path, help="the run folder")
    parser.add_argument("--step", type=int, help="which checkpoint; the latest by default")
    arguments, overrides = parser.parse_known_args()
    try:
        config, mesh = load_config(arguments.config, overrides), data_mesh()
        source = open_source(config.data.validation)
        require_fit(config, source, mesh.size)
        model = with_weights(config, arguments.checkpoint, arguments.step)
        print(table(evaluate(model, source, config, arguments.checkpoint, mesh)))
    except MENDABLE as error:
        sys.exit(f"error: {error}")
    print(f"wrote {arguments.checkpoint / 'metrics.json'}")


if __name__ == "__main__":
    main()
