"""The smallest experiment that uses every part, for tests of complete runs; it is too short to train."""

from maskrcnn_jax.config import (
    FPN,
    RPN,
    AnchorConfig,
    BoxHead,
    Config,
    DataConfig,
    DetectConfig,
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

SIDE = 64
BUCKETS = ((SIDE, SIDE),)

config = Config(
    model=ModelConfig(
        num_classes=3,
        input=InputConfig(shortest_edge=SIDE, longest_edge=SIDE, buckets=BUCKETS),
        backbone=ResNet(depth=18, width=8, norm="batch"),
        fpn=FPN(channels=16),
        rpn=RPN(
            anchors=AnchorConfig(sizes=(8.0, 16.0, 24.0, 32.0, 48.0)),
            proposals=ProposalConfig(top_k=16, count=8, train_top_k=16, train_count=8),
        ),
        box_head=BoxHead(fcs=(16,)),
        mask_head=MaskHead(convs=1, channels=16),
        # It is hardly trained: without a threshold there are detections to compare.
        detect=DetectConfig(score_threshold=0.0),
    ),
    sampling=SamplingConfig(
        anchors=MatchConfig(0.7, 0.3, low_quality=True, count=16, foreground_fraction=0.5),
        rois=MatchConfig(0.5, 0.5, low_quality=False, count=8, foreground_fraction=0.5),
    ),
    data=DataConfig(
        train=ShapesSource(image_size=SIDE, first=0, count=1000),
        validation=ShapesSource(image_size=SIDE, first=1000, count=6),
        batch_size=4,
        validation_batch_size=4,
        max_objects=4,
        mask_size=28,
        transforms=(Flip(0.5), Resize((SIDE,), SIDE)),
        buckets=BUCKETS,
        threads=2,
    ),
    optimizer=OptimizerConfig(learning_rate=0.01, milestones=(20,), warmup_steps=4, ema_decay=0.9),
    run=RunConfig(steps=40, log_every=1, evaluate_every=0, save_every=10),
)
