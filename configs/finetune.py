"""Fine-tuning on new classes: the file to copy. As it stands, the classes are shapes that `shapes` does not have.

Source:    this project; heads first, then all, as in Matterport's samples
Hardware:  2 CPU cores
Published: nothing; mask AP50 0.90 and more on images never trained on

    maskrcnn-jax train shapes      # leaves runs/shapes, as `make train` does in a checkout
    maskrcnn-jax train finetune

For your own images copy this file, `maskrcnn-jax configs --copy finetune --out mine.py`, and change the names in
capitals.
"""

from dataclasses import replace
from pathlib import Path

import maskrcnn_jax as mr
from maskrcnn_jax.config import Phase

# The initial weights: a run folder, a weight file of torchvision, Detectron2, Matterport or this project, or a name of
# `maskrcnn-jax zoo`: Path("torchvision/maskrcnn_resnet50_fpn").
INIT = Path("runs/shapes")

# The experiment to derive from: network, losses, image sizes, optimizer. For weight files
# mask_rcnn_r50_fpn_torchvision, mask_rcnn_r50_fpn_3x (Detectron2) or mask_rcnn_r101_fpn_matterport.
BASE = "shapes"

# In the order of the summary of `maskrcnn-jax prepare`; the error for any other order shows the right one.
CLASSES = ("star", "ring", "cross")

# With `prepare … --out data/mine`: mr.CocoSource(Path("data/mine"), split="train"), and for validation
# mr.CocoSource(Path("data/mine"), split="val", keep_empty=True).
TRAIN = mr.ShapesSource(kinds=("star", "ring", "cross"))
VALIDATION = replace(TRAIN, first=1_000_000, count=200)

# Photographs need some thousand steps. A rate that suits SGD is 0.02 × BATCH_SIZE / 16.
STEPS, BATCH_SIZE, LEARNING_RATE = 50, 8, 2e-3

# Trainable parameters per phase. The last layers are initialised fresh, so only the heads are trained at first, then
# everything; with few images less of it: "5+", "4+" and "3+" also train the backbone from that stage on.
PHASES = (Phase("heads", until=20), Phase("all", rate=0.5))

# Rate multipliers: the mask head, whose last layer is initialised fresh, needs the most training.
GROUPS = (("mask_head", 4.0),)

base = mr.load_config(BASE)
config = replace(
    base,
    model=replace(base.model, num_classes=len(CLASSES), class_names=CLASSES),
    data=replace(base.data, train=TRAIN, validation=VALIDATION, batch_size=BATCH_SIZE),
    optimizer=replace(
        base.optimizer,
        learning_rate=LEARNING_RATE,
        schedule="cosine",
        warmup_steps=STEPS // 5,
        phases=PHASES,
        groups=GROUPS,
    ),
    run=replace(
        base.run,
        folder=Path("runs/finetune"),
        init=INIT,
        steps=STEPS,
        evaluate_every=STEPS // 2,
        save_every=STEPS // 2,
    ),
)
