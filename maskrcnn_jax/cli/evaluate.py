"""Scores a checkpoint with COCO's box and mask AP.

    {program} coco_mini --checkpoint runs/coco_mini [--step 1000] [--section.field value …]
    {program} mask_rcnn_r50_fpn_1x --checkpoint maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth

The configuration says which data; the model is the checkpoint's own, of which other numbers can be set, such as
`--model.detect.score-threshold 0.3 --model.detect.nms-iou 0.7 --model.detect.count 300` (detections per image).
Writes `detections.json` (COCO's results format), `metrics.json` and `evaluation.json` (what was evaluated) to
`evaluation/STEP_DATA/` in the run folder, or to `….evaluation/DATA/` beside a file of weights. What training itself
wrote stays.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from maskrcnn_jax.checkpoints.checkpoint import steps
from maskrcnn_jax.checkpoints.pretrained import load_pretrained, trained_config
from maskrcnn_jax.cli.checkpoint import trusted_experiment
from maskrcnn_jax.cli.errors import USER_ERRORS
from maskrcnn_jax.cli.terminal import errors_in_one_line, log_to_terminal, program
from maskrcnn_jax.config import Config, ConfigError, unchanged
from maskrcnn_jax.config.loading import load_config, read_config
from maskrcnn_jax.config.types import types_of
from maskrcnn_jax.distributed.devices import require_devices
from maskrcnn_jax.distributed.mesh import data_mesh, replicated
from maskrcnn_jax.distributed.processes import is_first, join_processes
from maskrcnn_jax.evaluation.folder import Evaluation
from maskrcnn_jax.evaluation.run import check_compatible, evaluate, table
from maskrcnn_jax.training.compilation import enable_compilation_cache
from maskrcnn_jax.training.garbage import tune_gc


def require_effect(overrides: Sequence[str]) -> None:
    """Checks that overrides change what an evaluation reads: the model, the validation data and how it is batched.

    Raises:
        ConfigError: one changes what only training reads.
    """
    for override in overrides:
        name, _, value = override.partition("=")
        read = name.startswith(("--data.validation", "--data.threads"))
        if name.startswith(("--run.", "--optimizer.", "--losses.", "--sampling.", "--data.")) and not read:
            given = f" = {value}" if value else ""
            raise ConfigError(f"{name}{given}: only training reads it, an evaluation does not; leave it out")


def experiment(path: str, overrides: Sequence[str], checkpoint: Path, trust_code: bool) -> Config:
    """The experiment of a file with the model of a checkpoint.

    A run's own `customize` belongs to its model: it is taken from the file if the file has one, else from the run
    folder, whose code is run only if it is trusted.

    Raises:
        ConfigError, WeightFileError or ConversionError: as `load_pretrained`.
    """
    if trust_code or checkpoint.is_dir():
        types = types_of(load_config(path))
        trained = trusted_experiment(checkpoint) if trust_code else read_config(checkpoint, types)
        config = load_config(path, overrides, trained.model)
        own = config.customize is unchanged
        return dataclasses.replace(config, customize=trained.customize) if own else config
    return load_config(path, overrides, trained_config(checkpoint, types_of(load_config(path))))


def main() -> None:
    """Evaluates as the arguments say."""
    text = f"{__doc__}".format(program=program())
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=program(), description=text, formatter_class=form)
    parser.add_argument("config", help="a file like configs/shapes.py, or a name that `maskrcnn-jax configs` lists")
    parser.add_argument("--checkpoint", required=True, type=Path, help="a run folder or a file of weights")
    parser.add_argument("--step", type=int, help="which checkpoint; the latest by default")
    parser.add_argument("--trust-code", action="store_true", help="run the code that the checkpoint names")
    arguments, overrides = parser.parse_known_args()
    log_to_terminal("%(message)s")
    tune_gc()
    with errors_in_one_line(*USER_ERRORS):
        require_effect(overrides)
        join_processes()
        require_devices()
        enable_compilation_cache()
        checkpoint, step = arguments.checkpoint, arguments.step
        config = experiment(arguments.config, overrides, checkpoint, arguments.trust_code)
        source, mesh = config.data.validation.open(), data_mesh()
        check_compatible(config, source, mesh.size)
        if step is None and checkpoint.is_dir():
            step = max(steps(checkpoint), default=None)  # of a run that is still training it would be another later
        model = load_pretrained(checkpoint, step, config=config)
        model = jax.device_put(model, replicated(mesh))
        evaluation = Evaluation(checkpoint, step, config.data.validation, config.model)
        folder = evaluation.make_folder() if is_first() else checkpoint
        metrics = evaluate(model, source, config, folder, mesh)
    if is_first():
        print(table(metrics))
        print(f"wrote {folder / 'metrics.json'}")
