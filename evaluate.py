"""Scores a checkpoint with COCO's box and mask AP.

    python evaluate.py configs/coco_mini.py --checkpoint runs/coco_mini [--step 1000] [--section.field value …]

Writes `detections.json` (COCO's results format) and `metrics.json` to the run folder.
"""

import argparse
from pathlib import Path

import jax
from jax.sharding import Mesh

from maskrcnn_jax.config import Config
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.pipeline import validation_batches
from maskrcnn_jax.data.source import ImageSource
from maskrcnn_jax.evaluation import CocoEvaluator
from maskrcnn_jax.experiment import load_config
from maskrcnn_jax.model import MaskRCNN
from maskrcnn_jax.parallel import data_mesh, to_devices
from maskrcnn_jax.predictor import detect
from maskrcnn_jax.pretrained import with_weights
from maskrcnn_jax.weights import split

SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def evaluate(model: MaskRCNN, source: ImageSource, config: Config, folder: Path, mesh: Mesh) -> dict[str, float]:
    """Detects in every image of a source, scores the detections and writes both down.

    While the device looks at a batch, the host pastes and encodes the masks of the one before.

    Returns:
        Figures by name, `"bbox/AP"` … `"segm/AP50"` …, in [0, 1]; see `evaluation.coco_metrics`.
    """
    weights = split(model)
    evaluator = CocoEvaluator(source.coco(), source.category_ids, masks=config.model.mask_head is not None)
    batches = validation_batches(
        source, config.model.input, config.data.validation_batch_size, threads=config.data.threads
    )
    previous = None
    with jax.set_mesh(mesh):
        for batch, records in batches:
            found = detect(*weights, *to_devices((batch.images, batch.image_sizes), mesh))
            if previous:
                evaluator.add(jax.device_get(previous[0]), previous[1])
            previous = (found, records)
    evaluator.add(jax.device_get(previous[0]), previous[1])
    return evaluator.write(folder)


def table(figures: dict[str, float]) -> str:
    """The main figures as text, one line per kind."""
    kinds = [kind for kind in ("bbox", "segm") if f"{kind}/AP" in figures]
    return "\n".join(
        "  ".join([kind, *(f"{name} {figures[f'{kind}/{name}']:.3f}" for name in SUMMARY)]) for kind in kinds
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a file like configs/shapes.py")
    parser.add_argument("--checkpoint", required=True, type=Path, help="the run folder")
    parser.add_argument("--step", type=int, help="which checkpoint; the latest by default")
    arguments, overrides = parser.parse_known_args()
    config = load_config(arguments.config, overrides)
    source = open_source(config.data.validation)
    model = with_weights(config, arguments.checkpoint, arguments.step)
    print(table(evaluate(model, source, config, arguments.checkpoint, data_mesh())))
    print(f"wrote {arguments.checkpoint / 'metrics.json'}")


if __name__ == "__main__":
    main()
