"""The input pipeline of training: from JPEG files and COCO annotations to batches on the device, on one core.

MASKRCNN_COCO_MINI=FOLDER make bench ARGS=pipeline

FOLDER holds `train2017/` and `annotations/instances_train2017.json`.
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import torch
import tyro
from pair import alternate, report
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2

from maskrcnn_jax.config import CocoSource, DataConfig
from maskrcnn_jax.data import train_batches
from maskrcnn_jax.data.prepare.run import prepare


def their_loader(folder: Path, batch: int) -> DataLoader:
    """torchvision's `references/detection`: preset `hflip`, transforms v2, images without objects left out."""
    annotations = folder / "annotations" / "instances_train2017.json"
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = CocoDetection(folder / "train2017", annotations)
    dataset.ids = [i for i in dataset.ids if any(not a["iscrowd"] for a in dataset.coco.imgToAnns[i])]
    dataset.transforms = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomHorizontalFlip(0.5),
            v2.ToDtype(torch.float, scale=True),
            v2.ConvertBoundingBoxFormat("XYXY"),
            v2.SanitizeBoundingBoxes(),
            v2.ToPureTensor(),
        ]
    )
    dataset = wrap_dataset_for_transforms_v2(dataset, target_keys=("boxes", "labels", "masks"))
    return DataLoader(
        dataset, batch, shuffle=True, drop_last=True, collate_fn=lambda samples: tuple(zip(*samples, strict=True))
    )


def main(folder: Path | None = None, rounds: int = 7, batches: int = 13, batch: int = 2) -> None:
    """Times batches of both in turn; resizing to 800 by at most 1333 pixels is part of both."""
    if folder is None:
        if "MASKRCNN_COCO_MINI" not in os.environ:
            sys.exit("MASKRCNN_COCO_MINI is not set: set it to a folder in COCO's layout, or pass --folder")
        folder = Path(os.environ["MASKRCNN_COCO_MINI"])
    torch.set_num_threads(1)
    resize = GeneralizedRCNNTransform(800, 1333, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    loader = their_loader(folder, batch)

    def their_batches():
        while True:
            for images, targets in loader:
                yield resize(list(images), [dict(t) for t in targets])

    theirs = their_batches()
    with tempfile.TemporaryDirectory() as prepared:
        prepare(folder, Path(prepared) / "coco")
        source = CocoSource(Path(prepared) / "coco").open()
        config = DataConfig(batch_size=batch, threads=1)

        def read_ours():
            # Opened anew, so that nothing is read before the timer starts.
            with contextlib.closing(train_batches(source, config, 0, 0)) as loaded:
                for _ in range(batches):
                    jax.block_until_ready(jax.device_put(next(loaded)))

        def read_theirs():
            for _ in range(batches):
                next(theirs)

        times = alternate(read_ours, read_theirs, rounds)
    work = {name: np.median([w for _, w in side]) for name, side in times._asdict().items()}
    rates = {f"{name}, images per second and core": batches * batch / value for name, value in work.items()}
    report("pipeline", {"decode to device": times.summary() | rates})


if __name__ == "__main__":
    tyro.cli(main)
