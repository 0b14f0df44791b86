"""Mask R-CNN, ResNet-50-FPN, as torchvision trains it: 26 epochs of COCO.

Source:    torchvision, references/detection (README.md, train.py) and models/detection/mask_rcnn.py
Hardware:  8 V100, 2 images each
Published: box AP 37.9, mask AP 34.6 on val2017 (`MaskRCNN_ResNet50_FPN_Weights.COCO_V1`)

The published run starts from torchvision's ImageNet weights, whose stem and first stage stay frozen:

    maskrcnn-jax train mask_rcnn_r50_fpn_torchvision --run.init resnet50-0676ba61.pth

One epoch is the 117,266 images that have objects, 7329 steps. Differences: 80 classes instead of torchvision's 90, ten
of which have no objects; images are padded to two shapes, so that only two programs are compiled; pixels of resized
training images are rounded; and norms and biases have no weight decay.
"""

from dataclasses import replace
from pathlib import Path

from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.config import (
    BoxRegression,
    Classification,
    Config,
    DataConfig,
    Flip,
    InputConfig,
    Mask,
    OptimizerConfig,
    Phase,
    Resize,
    RPNBox,
    RPNObjectness,
    RunConfig,
)

EPOCH = 7329

config = Config(
    model=replace(
        CONVENTIONS,
        num_classes=80,
        class_names=(),
        input=replace(CONVENTIONS.input, buckets=InputConfig().buckets),
    ),
    losses=(
        RPNObjectness(normalizer="sampled"),
        RPNBox(beta=1 / 9, normalizer="sampled"),
        Classification(),
        BoxRegression(beta=1 / 9),
        Mask(binary_targets=False, samples=0, aligned=False),
    ),
    data=DataConfig(batch_size=16, transforms=(Flip(0.5), Resize((800,), 1333))),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(16 * EPOCH, 22 * EPOCH),
        warmup_steps=1000,
        phases=(Phase("3+"),),
    ),
    run=RunConfig(folder=Path("runs/mask_rcnn_r50_fpn_torchvision"), steps=26 * EPOCH),
)
