"""Mask R-CNN, ResNet-101-FPN, as Matterport trains it: 160,000 steps of 2 images, 1024×1024 pixels.

Source:    matterport/Mask_RCNN, samples/coco/coco.py and mrcnn/config.py
Hardware:  not published; a GPU of 12 GB holds 2 images
Published: box AP 34.7, mask AP 29.6 on COCO (`mask_rcnn_coco.h5` of release 2.0)

    maskrcnn-jax train mask_rcnn_r101_fpn_matterport --run.init mask_rcnn_coco.h5

fine-tunes Matterport's weights with its settings and its three phases. 1000 steps are one of its epochs.

Differences: pixels of resized images are rounded instead of truncated; mask targets have 4×4 samples per cell instead
of one; and there is no weight decay, as Matterport divides it by the number of weights, which leaves almost none.
"""

from dataclasses import replace
from pathlib import Path

from maskrcnn_jax.checkpoints.convert.matterport_model import CONVENTIONS
from maskrcnn_jax.config import (
    BoxRegression,
    Classification,
    Config,
    DataConfig,
    Flip,
    Mask,
    MatchConfig,
    OptimizerConfig,
    Phase,
    Resize,
    RPNBox,
    RPNObjectness,
    RunConfig,
    SamplingConfig,
)

config = Config(
    # The names of the classes come from the data set.
    model=replace(CONVENTIONS, class_names=(), detect=replace(CONVENTIONS.detect, score_threshold=0.0)),
    sampling=SamplingConfig(
        anchors=MatchConfig(0.7, 0.3, low_quality=True, count=256, foreground_fraction=0.5, crowd_iou=0.001),
        rois=MatchConfig(0.5, 0.5, low_quality=False, count=200, foreground_fraction=0.33, crowd_iou=0.001),
        append_ground_truth=False,
    ),
    losses=(
        RPNObjectness(normalizer="sampled"),
        RPNBox(beta=1.0, normalizer="positive"),
        Classification(),
        BoxRegression(beta=1.0, normalizer="positive"),
        Mask(),
    ),
    data=DataConfig(
        batch_size=2,
        max_objects=100,
        mask_size=56,
        transforms=(Flip(0.5), Resize((800,), 1024)),
        buckets=((1024, 1024),),
    ),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.001,
        momentum=0.9,
        weight_decay=0.0,
        schedule="step",
        milestones=(),
        phases=(Phase("heads", until=40_000), Phase("4+", until=120_000), Phase("all", rate=0.1)),
        warmup_steps=0,
        clip_norm=5.0,
    ),
    run=RunConfig(folder=Path("runs/mask_rcnn_r101_fpn_matterport"), steps=160_000),
)
