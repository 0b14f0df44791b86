"""Photographs of both orientations at many scales: a few padded shapes, each compiled once."""

import logging
import os
from pathlib import Path

import pytest
from small import CONFIG, build, change

from maskrcnn_jax.config import CocoSource, Flip, Resize
from maskrcnn_jax.data.pipeline import TrainSamples
from maskrcnn_jax.data.prepare.run import prepare
from maskrcnn_jax.training import loop, metrics

COCO_MINI = Path(os.environ["MASKRCNN_COCO_MINI"])
BUCKETS = ((128, 192), (192, 128))


def test_two_epochs_compile_each_shape_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    prepare(COCO_MINI, tmp_path / "coco")
    source = CocoSource(tmp_path / "coco", "train")
    config = change(
        CONFIG,
        model__num_classes=80,
        data__train=source,
        data__validation=source,
        data__validation_batch_size=4,
        data__transforms=(Flip(0.5), Resize((64, 80, 96, 112, 128), 192)),
        data__buckets=BUCKETS,
        data__max_objects=20,
        run__folder=tmp_path / "run",
        run__log_every=1,
        run__evaluate_every=0,
    )
    epoch = TrainSamples(source.open(), config.data, 0, 0, 1, centered=False).order.steps_per_epoch
    config = change(config, run__steps=2 * epoch, optimizer__milestones=())
    monkeypatch.setattr(loop, "build_model", lambda config: build(config.model))
    monkeypatch.setattr(loop, "evaluate", lambda *_: {})
    monkeypatch.setattr(loop, "report", lambda *_: None)
    caplog.set_level(logging.INFO, logger="maskrcnn_jax")
    loop.train(config)
    assert len([record for record in metrics.read(tmp_path / "run") if "loss" in record]) == 2 * epoch > 12
    said = [
        (r.levelname, r.message[: r.message.index(" in ")]) for r in caplog.records if r.message.startswith("compiled")
    ]
    assert sorted(said) == [("INFO", f"compiled the step for 4 images of {h}×{w}") for h, w in BUCKETS]
