"""Trains Mask R-CNN.

    {program} CONFIG [--init RUN_OR_CHECKPOINT] [--section.field value …]

CONFIG is the Python file of an experiment, such as configs/shapes.py, or the name of one that comes with the package,
such as shapes: `maskrcnn-jax configs` lists them. What can be set is listed by

    {program} CONFIG --help

The run folder gets the resolved configuration, metrics.jsonl and TensorBoard's files, checkpoints, and at the end the
COCO metrics, the training curves and a grid of predicted images. Started again on the same run folder it resumes
from the last checkpoint. Lengths, intervals, learning rates, batches and augmentation may then be others. Another
model, other data, another seed or --init are an error: they need another --run.folder. SIGTERM or Ctrl-C save and stop.
"""

import logging
import sys

from maskrcnn_jax.cli.errors import USER_ERRORS
from maskrcnn_jax.cli.terminal import errors_in_one_line, log_to_terminal, program
from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.distributed.devices import require_devices
from maskrcnn_jax.distributed.processes import is_first, join_processes
from maskrcnn_jax.training import metrics
from maskrcnn_jax.training.compilation import enable_compilation_cache
from maskrcnn_jax.training.garbage import tune_gc
from maskrcnn_jax.training.loop import train
from maskrcnn_jax.training.progress import NonFiniteLoss
from maskrcnn_jax.training.run_folder import RunFolderError


def main() -> None:
    """Trains as the arguments say."""
    log_to_terminal("%(message)s")
    logging.getLogger("maskrcnn_jax").setLevel(logging.INFO)
    usage = f"{__doc__}".format(program=program())
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(usage)
        return
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(usage)
    tune_gc()
    with errors_in_one_line(*USER_ERRORS, metrics.RecordError, NonFiniteLoss, RunFolderError):
        join_processes()
        require_devices()
        if not is_first():
            logging.disable(logging.INFO)
        enable_compilation_cache()
        train(load_config(sys.argv[1], sys.argv[2:]))
