"""Communication, evaluation and stopping of two processes; each prints its results.

python together.py FOLDER
"""

import json
import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np
import small
from whole_runs import TINY

from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.distributed.mesh import data_mesh, from_devices, replicated, to_devices
from maskrcnn_jax.distributed.processes import gather, is_first, join_processes
from maskrcnn_jax.evaluation import run as evaluate
from maskrcnn_jax.structs import Detections
from maskrcnn_jax.training.stop_request import StopRequest


def knowing(source: ImageSource, mesh: jax.sharding.Mesh):
    """A stand-in for `Detector` that finds every second object, with a mask that fills its box."""
    examples = {source[i].image.tobytes(): source[i] for i in range(len(source))}

    def detect(*arguments):
        images = from_devices(arguments[-2], mesh)
        boxes, scores = np.zeros((len(images), 2, 4), np.float32), np.zeros((len(images), 2), np.float32)
        labels, masks = np.zeros((len(images), 2), np.int32), np.ones((len(images), 2, 28, 28), np.float32)
        for i, image in enumerate(images):
            truth = examples[image.tobytes()]
            count = len(truth.boxes[::2])
            boxes[i, :count], labels[i, :count] = truth.boxes[::2], truth.labels[::2]
            scores[i, :count] = 0.5 + truth.boxes[::2, 0] / 200
        return to_devices(Detections(boxes, scores, labels, scores > 0, masks), mesh)

    return detect


def evaluated(folder: Path) -> dict[str, float]:
    """The metrics of a detector that finds half of the objects."""
    config, mesh = load_config(TINY), data_mesh()  # six images in batches of four: two of the last batch are padding
    source = config.data.validation.open()
    model = jax.device_put(small.build(config.model), replicated(mesh))
    evaluate.Detector = lambda _: knowing(source, mesh)
    return evaluate.evaluate(model, source, config, folder, mesh)


def stopped() -> int:
    """The step after which both stop, when the second receives SIGTERM in step 2."""
    with StopRequest(data_mesh()) as stop:
        for step in range(1, 9):
            if step == 2 and not is_first():
                os.kill(os.getpid(), signal.SIGTERM)
            if stop.agreed():
                return step
    return 0


if __name__ == "__main__":
    join_processes()
    gathered = gather([{"from": jax.process_index(), "é": [0.5] * jax.process_index()}] * (1 + jax.process_index()))
    print(
        json.dumps(
            {
                "devices": [device.process_index for device in data_mesh().devices.ravel()],
                "gathered": gathered,
                "stopped": stopped(),
                "metrics": evaluated(Path(sys.argv[1]) / str(jax.process_index())),
            }
        )
    )
