"""New classes for a trained network: the file to copy. As it stands, kinds of shapes that `shapes` does not have.

Source:    our own; heads first, then all, as in Matterport's samples
Hardware:  2 CPU cores
Published: nothing; mask AP50 0.90 and more on images never trained on

    maskrcnn-jax train shapes      # leaves runs/shapes, as `make train` does in a checkout
    maskrcnn-jax train finetune

For your own images copy this file, `maskrcnn-jax configs --copy finetune --out mine.py`, and change what stands in
capitals.
"""

from dataclasses import replace
from pathlib import Path

from maskrcnn_jax.config import Phase, ShapesSource
from maskrcnn_jax.config.loading import load_config

# What was trained: a run folder, or a file of weights of torchvision, Detectron2, Matterport or ours.
INIT = Path("runs/shapes")

# The experiment that it comes from: network, losses, sizes of images, optimiser. For files of weights
# mask_rcnn_r50_fpn_torchvision, mask_rcnn_r50_fpn_3x (Detectron2) or mask_rcnn_r101_fpn_matterport.
BASE = "shapes"

# In the order in which `maskrcnn-jax prepare` counts them; another order is answered with the right one.
CLASSES = ("star", "ring", "cross")

# With `prepare … --out data/mine`: CocoSource(Path("data/mine"), split="train"), and for validation
# CocoSource(Path("data/mine"), split="val", keep_empty=True).
TRAIN = ShapesSource(kinds=("star", "ring", "cross"))
VALIDATION = replace(TRAIN, first=1_000_000, count=200)

# Photographs take longer: some thousand steps. A rate that suits SGD is 0.02 × BATCH_SIZE / 16.
STEPS, BATCH_SIZE, LEARNING_RATE = 50, 8, 2e-3

# Who learns when. The last layers start fresh, so the heads learn alone at first. Then everything does, or with few
# images less of it: "5+", "4+" and "3+" name the backbone's stages that learn, too.
PHASES = (Phase("heads", until=20), Phase("all", rate=0.5))

# Who learns faster: the masks, whose last layer starts fresh and has the most to learn.
GROUPS = (("mask_head", 4.0),)

base = load_config(BASE)
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
