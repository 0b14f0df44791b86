"""A run of `loop.train` whose losses are insensitive to rounding, as one of several processes.

    python steady_run.py FOLDER

With batch norm over few values and large steps a rounding error doubles in every step; with frozen norms and small
steps it does not. Evaluation and images are left out.
"""

import sys
from pathlib import Path

import small
from pytest import MonkeyPatch

from maskrcnn_jax.distributed.mesh import data_mesh
from maskrcnn_jax.distributed.processes import join_processes
from maskrcnn_jax.training import loop

STEPS = 20
CONFIG = small.change(
    small.CONFIG,
    model__class_names=("square", "circle", "triangle"),
    model__backbone__norm="frozen_batch",
    data__validation=small.CONFIG.data.train,
    data__validation_batch_size=4,
    optimizer__learning_rate=0.002,
    optimizer__clip_norm=1.0,
    optimizer__milestones=(15,),
    run__steps=STEPS,
    run__log_every=1,
    run__save_every=10,
    run__evaluate_every=0,
)


def run(folder: Path, mesh=data_mesh) -> None:
    """Trains to the end, resuming if the folder has a checkpoint."""
    with MonkeyPatch.context() as patch:
        patch.setattr(loop, "data_mesh", mesh)
        patch.setattr(loop, "build_model", lambda config: small.build(config.model))
        patch.setattr(loop, "evaluate", lambda *_: {})
        patch.setattr(loop, "report", lambda *_: None)
        loop.train(small.change(CONFIG, run__folder=folder))


if __name__ == "__main__":
    join_processes()
    run(Path(sys.argv[1]))
