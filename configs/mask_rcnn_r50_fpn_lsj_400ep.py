"""Mask R-CNN, ResNet-50-FPN, from scratch, 400 epochs of COCO with large-scale jitter: the strongest plain recipe.

Source:    Detectron2, configs/new_baselines/mask_rcnn_R_50_FPN_400ep_LSJ.py (after Ghiasi et al. 2021, section 4)
Hardware:  batch 64 at 1024×1024 in half precision, 0.376 s per image on a V100: 4,900 GPU hours, or 77 hours on 64
Published: box AP 47.4, mask AP 42.5 on val2017 (Detectron2's MODEL_ZOO.md, "New baselines")

One epoch is 118,000 images: 400 epochs are 737,500 steps. No weights are loaded and nothing is frozen; the
backbone, the FPN and both heads have batch norm with statistics over all devices. In the mask head every image has the
same weight in these statistics, however few objects it has: empty slots repeat the others
(`model.stages.foreground_rois`). The published model has no empty slots.
"""

from pathlib import Path

from maskrcnn_jax.config import (
    FPN,
    RPN,
    BoxHead,
    Config,
    DataConfig,
    Flip,
    InputConfig,
    MaskHead,
    ModelConfig,
    OptimizerConfig,
    PoolConfig,
    ResNet,
    RunConfig,
    ScaleJitter,
)

config = Config(
    model=ModelConfig(
        num_classes=80,
        input=InputConfig(shortest_edge=1024, longest_edge=1024, buckets=((1024, 1024),)),
        backbone=ResNet(depth=50, norm="batch"),
        fpn=FPN(norm="batch"),
        rpn=RPN(convs=2),
        pool=PoolConfig(sampling_ratio=0, aligned=True),
        box_head=BoxHead(convs=4, fcs=(1024,), norm="batch"),
        mask_head=MaskHead(norm="batch"),
        dtype="bfloat16",
    ),
    data=DataConfig(
        batch_size=64,
        transforms=(Flip(0.5), ScaleJitter(0.1, 2.0)),
        buckets=((1024, 1024),),
    ),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=4e-5,
        schedule="step",
        milestones=(655_556, 710_184),
        warmup_steps=2000,
        warmup_start=0.067,
    ),
    run=RunConfig(folder=Path("runs/mask_rcnn_r50_fpn_lsj_400ep"), steps=737_500),
)
