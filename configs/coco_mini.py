"""A small Mask R-CNN on a few real images, for two CPU cores: tests the whole pipeline from COCO to AP.

Source:    this project
Hardware:  2 CPU cores
Published: nothing; it is meant to overfit, to mask AP50 0.80 and more on its training images

    maskrcnn-jax prepare --help    # writes data/coco_mini from a folder in COCO's format
    maskrcnn-jax train coco_mini
"""

from pathlib import Path

from maskrcnn_jax.config import (
    FPN,
    RPN,
    AnchorConfig,
    BoxHead,
    CocoSource,
    Config,
    DataConfig,
    Flip,
    InputConfig,
    MaskHead,
    MatchConfig,
    ModelConfig,
    OptimizerConfig,
    ProposalConfig,
    Resize,
    ResNet,
    RunConfig,
    SamplingConfig,
)

FOLDER = Path("data/coco_mini")
BUCKETS = ((384, 512), (512, 384))

config = Config(
    model=ModelConfig(
        num_classes=80,
        input=InputConfig(shortest_edge=384, longest_edge=512, buckets=BUCKETS),
        backbone=ResNet(depth=18, width=32, norm="group"),
        fpn=FPN(channels=64),
        rpn=RPN(
            anchors=AnchorConfig(sizes=(10.0, 24.0, 56.0, 128.0, 288.0)),
            proposals=ProposalConfig(top_k=500, count=300, train_top_k=500, train_count=300),
        ),
        box_head=BoxHead(fcs=(256,)),
        mask_head=MaskHead(convs=2, channels=64),
    ),
    sampling=SamplingConfig(
        rois=MatchConfig(0.5, 0.5, low_quality=False, count=128, foreground_fraction=0.25),
    ),
    data=DataConfig(
        train=CocoSource(FOLDER, split="train[:8]"),
        validation=CocoSource(FOLDER, split="train[:8]"),
        batch_size=2,
        validation_batch_size=2,
        max_objects=40,
        mask_size=56,
        transforms=(Flip(0.0), Resize((384,), 512)),
        buckets=BUCKETS,
        threads=2,
    ),
    optimizer=OptimizerConfig(
        name="adamw",
        learning_rate=1e-3,
        weight_decay=1e-2,
        schedule="cosine",
        warmup_steps=50,
        clip_norm=1.0,
    ),
    run=RunConfig(folder=Path("runs/coco_mini"), steps=800, evaluate_every=400, save_every=100),
)
