"""Faster R-CNN, ResNet-50-FPN, 90,000 steps (12 epochs of COCO): `mask_rcnn_r50_fpn_1x` without mask head.

Source:    Detectron2, configs/COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml
Hardware:  8 V100, 2 images each, 0.210 s per step: about 5.3 hours
Published: box AP 37.9 on val2017 (Detectron2's MODEL_ZOO.md)

It starts from ImageNet weights as `mask_rcnn_r50_fpn_1x` says.
"""

from dataclasses import replace
from pathlib import Path

from maskrcnn_jax.config.loading import load_config

base = load_config("mask_rcnn_r50_fpn_1x")

config = replace(
    base,
    model=replace(base.model, mask_head=None),
    run=replace(base.run, folder=Path("runs/faster_rcnn_r50_fpn_1x"), best="bbox/AP"),
)
