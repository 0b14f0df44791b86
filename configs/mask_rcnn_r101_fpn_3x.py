"""Mask R-CNN, ResNet-101-FPN, 270,000 steps (37 epochs of COCO): `mask_rcnn_r50_fpn_3x` with a deeper backbone.

Source:    Detectron2, configs/COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml
Hardware:  8 V100, 2 images each, 0.340 s per step: about 26 hours
Published: box AP 42.9, mask AP 38.6 on val2017 (Detectron2's MODEL_ZOO.md)

It starts from ImageNet weights as `mask_rcnn_r50_fpn_1x` says: `--run.init R-101.pkl` with the same three options.
"""

from dataclasses import replace
from pathlib import Path

from maskrcnn_jax.config import ResNet
from maskrcnn_jax.config.loading import load_config

base = load_config("mask_rcnn_r50_fpn_3x")

config = replace(
    base,
    model=replace(base.model, backbone=ResNet(depth=101)),
    run=replace(base.run, folder=Path("runs/mask_rcnn_r101_fpn_3x")),
)
