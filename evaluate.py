"""Scores a checkpoint with COCO's box and mask AP.

    python evaluate.py configs/coco_mini.py --checkpoint runs/coco_mini [--step 1000] [--section.field value …]
    python evaluate.py configs/mask_rcnn_r50_fpn_1x.py --checkpoint maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth

The configuration says which data; the model is the checkpoint's own, of which other numbers can be set, such as
`--model.detect.score-threshold 0.3 --model.detect.nms-iou 0.7 --model.detect.count 300` (detections per image).
Writes `detections.json` (COCO's results format), `metrics.json` and `evaluation.json` (what was evaluated) to
`evaluation/STEP_DATA/` in the run folder, or to `….evaluation/DATA/` beside a file of weights. What training itself
wrote stays.
"""

import argparse
import contextlib
import dataclasses
import logging
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from maskrcnn_jax.checkpoint import CheckpointError, steps
from maskrcnn_jax.config import Config, ConfigError, require, unchanged
from maskrcnn_jax.convert.rules import ConversionError
from maskrcnn_jax.convert.stored import WeightFileError
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.pipeline import validation_batches
from maskrcnn_jax.data.problems import first_of
from maskrcnn_jax.data.source import BrokenImage, ImageSource
from maskrcnn_jax.devices import require_devices
from maskrcnn_jax.evaluation import CocoEvaluator, coco_metrics, label_categories, write_evaluation
from maskrcnn_jax.evaluation_folder import Evaluation
from maskrcnn_jax.experiment import load_config, read_config, read_trusted_config
from maskrcnn_jax.files.printable import PrintableFormatter, printable
from maskrcnn_jax.model import MaskRCNN
from maskrcnn_jax.parallel import data_mesh, from_devices, put, replicated, to_devices
from maskrcnn_jax.plural import counted
from maskrcnn_jax.prediction.predictor import detect
from maskrcnn_jax.pretrained import load_pretrained, trained_config
from maskrcnn_jax.refusals import in_words, outside_cause
from maskrcnn_jax.running.compilation import keep_programs
from maskrcnn_jax.running.garbage import search_less
from maskrcnn_jax.running.processes import gather, is_first, join_processes
from maskrcnn_jax.weights import merge, split

log = logging.getLogger("evaluate")

SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl")
MENDABLE = (ConfigError, CheckpointError, WeightFileError, ConversionError, BrokenImage, OSError)
"""What the user can mend: on the command line the message of these says all."""


def evaluate(model: MaskRCNN, source: ImageSource, config: Config, folder: Path, mesh: Mesh) -> dict[str, float]:
    """Detects in every image of a source, scores the detections and writes both down.

    While the device looks at a batch, the host pastes and encodes the masks of the one before. Several processes share
    the images; each has all results at the end, and the first writes them.

    Args:
        model: its weights live on the mesh, or, if there is only one process, anywhere.
        source: the images and their objects.
        config: how to batch them; its class names and conventions are the model's.
        folder: gets `detections.json` and `metrics.json`.
        mesh: see `parallel.data_mesh`.

    Returns:
        Figures by name, `"bbox/AP"` … `"segm/AP50"` …, in [0, 1]; see `evaluation.coco_metrics`.
    """
    weights, head = split(model), config.model.mask_head
    categories = label_categories(config.model.class_names, source.class_names, source.category_ids)
    paste = "exact" if head is None else head.paste
    truth = source.coco()
    evaluator = CocoEvaluator(
        truth, categories, masks=head is not None, paste=paste, inclusive=config.model.inclusive_boxes
    )
    batches = validation_batches(
        source,
        config.model.input,
        config.data.validation_batch_size,
        jax.process_index(),
        jax.process_count(),
        threads=config.data.threads,
    )
    pending: deque[tuple[Any, ...]] = deque()
    with jax.set_mesh(mesh), contextlib.closing(batches):
        for batch, records in batches:
            pending.append((detect(*weights, *to_devices((batch.images, batch.image_sizes), mesh)), records))
            if len(pending) > 1:
                found, seen = pending.popleft()
                evaluator.add(from_devices(found, mesh), seen)
        found, seen = pending.pop()
        evaluator.add(from_devices(found, mesh), seen)
    # Sorted, so that they are the same however many processes took part.
    results = sorted(gather(evaluator.results()), key=lambda result: result["image_id"])
    figures = coco_metrics(truth, results, masks=head is not None)
    if is_first():
        write_evaluation(folder, results, figures)
    return figures


def require_fit(config: Config, source: ImageSource, devices: int) -> None:
    """Checks what a configuration and the data to evaluate on must agree in.

    Classes agree by name where the model's have names, and one is enough; a warning lists those of the data that the
    model does not know. Else there must be as many, in the same order.

    Raises:
        ConfigError: the data is empty or has other classes, or a batch does not divide among the devices.
    """
    count, names, classes = config.data.validation_batch_size, config.model.class_names, source.class_names
    require(len(source) > 0, "data.validation", config.data.validation, "holds no image; choose another split")
    if names:
        unknown = [name for name in classes if name not in names]
        remedy = f"the data has none of these classes, but {first_of(classes)}; evaluate on other data"
        require(len(unknown) < len(classes), "model.class_names", first_of(names), remedy)
        if unknown:
            log.warning("classes of the data that the model does not know, so scores 0 in: %s", ", ".join(unknown))
    else:
        remedy = f"the data has {counted(len(classes), 'class')}; set --model.num-classes {len(classes)}"
        require(len(classes) == config.model.num_classes, "model.num_classes", config.model.num_classes, remedy)
    remedy = f"must be a multiple of the number of devices, {devices}"
    require(count % devices == 0, "data.validation_batch_size", count, remedy)


def require_effect(overrides: Sequence[str]) -> None:
    """Checks that overrides change what an evaluation reads: the model, the validation data and how it is batched.

    Raises:
        ConfigError: one changes what only training reads.
    """
    for override in overrides:
        name, _, value = override.partition("=")
        read = name.startswith(("--data.validation", "--data.threads"))
        if name.startswith(("--run.", "--optimizer.", "--loss.", "--data.")) and not read:
            given = f" = {value}" if value else ""
            raise ConfigError(f"{name}{given}: only training reads it, an evaluation does not; leave it out")


def table(figures: dict[str, float]) -> str:
    """The main figures as text, one line per kind."""
    kinds = [kind for kind in ("bbox", "segm") if f"{kind}/AP" in figures]
    return "\n".join(
        "  ".join([kind, *(f"{name} {figures[f'{kind}/{name}']:.3f}" for name in SUMMARY)]) for kind in kinds
    )


def experiment(path: str, overrides: Sequence[str], checkpoint: Path, trust_code: bool) -> Config:
    """The experiment of a file with the model of a checkpoint.

    A run's own `customize` belongs to its model: it is taken from the file if the file has one, else from the run
    folder, whose code is run only if it is trusted.

    Raises:
        ConfigError, WeightFileError or ConversionError: as `load_pretrained`.
    """
    if trust_code or checkpoint.is_dir():
        trained = read_trusted_config(checkpoint) if trust_code else read_config(checkpoint)
        config = load_config(path, overrides, trained.model)
        own = config.customize is unchanged
        return dataclasses.replace(config, customize=trained.customize) if own else config
    return load_config(path, overrides, trained_config(checkpoint))


def main() -> None:
    """Evaluates as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a file like configs/shapes.py")
    parser.add_argument("--checkpoint", required=True, type=Path, help="a run folder or a file of weights")
    parser.add_argument("--step", type=int, help="which checkpoint; the latest by default")
    parser.add_argument("--trust-code", action="store_true", help="run the code that the run folder names")
    arguments, overrides = parser.parse_known_args()
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], force=True)  # libraries have put up handlers of their own
    search_less()
    try:
        require_effect(overrides)
        join_processes()
        require_devices()
        keep_programs()
        checkpoint, step = arguments.checkpoint, arguments.step
        config = experiment(arguments.config, overrides, checkpoint, arguments.trust_code)
        source, mesh = open_source(config.data.validation), data_mesh()
        require_fit(config, source, mesh.size)
        if step is None and checkpoint.is_dir():
            step = max(steps(checkpoint), default=None)  # of a run that is still training it would be another later
        model = load_pretrained(checkpoint, step, config=config)
        structure, *weights = split(model)
        model = merge(structure, *put(weights, jax.tree.map(lambda _: replicated(mesh), weights)))
        evaluation = Evaluation(checkpoint, step, config.data.validation, config.model)
        folder = evaluation.make_folder() if is_first() else checkpoint
        figures = evaluate(model, source, config, folder, mesh)
    except MENDABLE as error:
        sys.exit(printable(f"error: {in_words(error)}"))
    except Exception as error:
        if (cause := outside_cause(error)) is None:
            raise
        sys.exit(printable(f"error: {cause}"))
    if is_first():
        print(table(figures))
        print(f"wrote {folder / 'metrics.json'}")


if __name__ == "__main__":
    main()
