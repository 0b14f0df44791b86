"""Mask R-CNN, ResNet-50-FPN, 270,000 steps (37 epochs of COCO): `mask_rcnn_r50_fpn_1x`, three times as long.

Source:    Detectron2, configs/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml
Hardware:  8 V100, 2 images each, 0.261 s per step: about 20 hours
Published: box AP 41.0, mask AP 37.2 on val2017 (Detectron2's MODEL_ZOO.md, model 137849600)

It starts from ImageNet weights as `mask_rcnn_r50_fpn_1x` says.
"""

from dataclasses import replace
from pathlib import Path

from maskrcnn_jax.config.loading import load_config

base = load_config("mask_rcnn_r50_fpn_1x")

config = replace(
    base,
    optimizer=replace(base.optimizer, milestones=(210_000, 250_000)),
    run=replace(base.run, folder=Path("runs/mask_rcnn_r50_fpn_3x"), steps=270_000),
)
