"""A small Mask R-CNN for synthetic squares, circles and triangles: no download, minutes on two CPU cores. The default.

Source:    this project
Hardware:  2 CPU cores
Published: nothing; validation images are never trained on
"""

from pathlib import Path

from maskrcnn_jax.config import (
    FPN,
    RPN,
    AnchorConfig,
    BoxHead,
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
    ShapesSource,
)

SIDE = 128
BUCKETS = ((SIDE, SIDE),)
TRAIN = 1_000_000

config = Config(
    model=ModelConfig(
        num_classes=3,
        class_names=("square", "circle", "triangle"),
        input=InputConfig(shortest_edge=SIDE, longest_edge=SIDE, buckets=BUCKETS),
        backbone=ResNet(depth=18, width=32, norm="batch"),
        fpn=FPN(channels=48),
        rpn=RPN(
            anchors=AnchorConfig(sizes=(16.0, 32.0, 48.0, 64.0, 96.0)),
            proposals=ProposalConfig(top_k=200, count=50, train_top_k=200, train_count=100),
        ),
        box_head=BoxHead(fcs=(256,)),
        mask_head=MaskHead(convs=2, channels=48),
    ),
    sampling=SamplingConfig(
        anchors=MatchConfig(0.7, 0.3, low_quality=True, count=64, foreground_fraction=0.5),
        rois=MatchConfig(0.5, 0.5, low_quality=False, count=32, foreground_fraction=0.25),
    ),
    data=DataConfig(
        train=ShapesSource(seed=0, image_size=SIDE, first=0, count=TRAIN),
        validation=ShapesSource(seed=0, image_size=SIDE, first=TRAIN, count=200),
        batch_size=8,
        max_objects=8,
        mask_size=56,
        transforms=(Flip(0.5), Resize((SIDE,), SIDE)),
        buckets=BUCKETS,
        threads=2,
    ),
    optimizer=OptimizerConfig(
        name="adamw",
        learning_rate=2e-3,
        beta2=0.99,
        weight_decay=1e-2,
        schedule="cosine",
        warmup_steps=50,
        clip_norm=1.0,
    ),
    run=RunConfig(folder=Path("runs/shapes"), steps=500, evaluate_every=100, save_every=100),
)
