r"""Mask R-CNN, ResNet-50-FPN, 90,000 steps (12 epochs of COCO): the common baseline.

Source:    Detectron2, configs/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml
Hardware:  8 V100, 2 images each, 0.261 s per step: about 6.5 hours
Published: box AP 38.6, mask AP 35.2 on val2017 (Detectron2's MODEL_ZOO.md, model 137260431)

The published run starts from an ImageNet-trained ResNet-50 (MSRA's, from Caffe) whose stem and first stage stay frozen;
without such weights this configuration cannot reach that AP. As in the published run, with MSRA's conventions:

    maskrcnn-jax train mask_rcnn_r50_fpn_1x --run.init R-50.pkl \
        --model.input.std 1 1 1 --model.input.bgr --model.backbone.stride-in-1x1

or from torchvision's weights, whose conventions are set here: `--run.init resnet50-0676ba61.pth`.
"""

from pathlib import Path

from maskrcnn_jax.config import (
    LOSSES,
    Config,
    DataConfig,
    Flip,
    ModelConfig,
    OptimizerConfig,
    Phase,
    PoolConfig,
    Resize,
    ResNet,
    RunConfig,
)

config = Config(
    model=ModelConfig(
        num_classes=80,
        backbone=ResNet(depth=50, norm="frozen_batch"),
        pool=PoolConfig(sampling_ratio=0, aligned=True),
    ),
    losses=LOSSES,
    data=DataConfig(
        batch_size=16,
        transforms=(Flip(0.5), Resize((640, 672, 704, 736, 768, 800), 1333)),
    ),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="step",
        milestones=(60_000, 80_000),
        warmup_steps=1000,
        phases=(Phase("3+"),),
    ),
    run=RunConfig(folder=Path("runs/mask_rcnn_r50_fpn_1x"), steps=90_000),
)
