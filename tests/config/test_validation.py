"""What a configuration must satisfy: each value and each relation, one that breaks it, by name."""

import dataclasses
from typing import Any

import pytest

from maskrcnn_jax.config import (
    FPN,
    BoxHead,
    Config,
    ConfigError,
    DataConfig,
    InputConfig,
    Mask,
    MaskHead,
    ModelConfig,
    OptimizerConfig,
    Phase,
    Resize,
    ResNet,
    RunConfig,
    ScaleJitter,
    ShapesSource,
)
from maskrcnn_jax.config.validation import validate


def changed(config: Any, name: str, value: object) -> Any:
    """The configuration with the field of that dotted name replaced; of the losses each has a name."""
    first, _, rest = name.partition(".")
    if isinstance(config, tuple):
        return tuple(changed(entry, rest, value) if entry.name == first else entry for entry in config)
    inner = changed(getattr(config, first), rest, value) if rest else value
    return dataclasses.replace(config, **{first: inner})


def test_the_defaults_pass():
    validate(Config())


BAD = [
    ("model.num_classes", 0),
    ("model.class_names", ("cat", "dog")),
    ("model.class_names", ("cat",) * 80),
    ("model.input.mean", (float("nan"), 0.0, 0.0)),
    ("model.input.std", (1.0, 0.0, 1.0)),
    ("model.input.shortest_edge", 0),
    ("model.input.longest_edge", 799),
    ("model.input.buckets", ((832, 1343), (1344, 832))),
    ("model.input.buckets", ((832, 1344),)),
    ("model.input.buckets", ((1344, 832),)),
    ("model.input.buckets", ((-32, 32),)),
    ("model.input.size_divisibility", 0),
    ("model.input.size_divisibility", 16),
    ("model.backbone.width", 0),
    ("model.backbone.norm_eps", -1.0),
    ("model.backbone.groups", 0),
    ("model.backbone.groups", 3),
    ("model.backbone.inner_width", -64),
    ("model.fpn.norm_eps", -1.0),
    ("model.rpn.channels", 0),
    ("model.rpn.proposals.min_size", -1.0),
    ("model.box_head.norm_eps", -1.0),
    ("model.mask_head.norm_eps", -1.0),
    ("model.detect.min_size", -1.0),
    ("sampling.rois.crowd_iou", 2.0),
    ("model.fpn.channels", 0),
    ("model.rpn.convs", 0),
    ("model.rpn.anchors.sizes", (32.0, 64.0, 128.0, 256.0)),
    ("model.rpn.anchors.sizes", (0.0, 64.0, 128.0, 256.0, 512.0)),
    ("model.rpn.anchors.scales", ()),
    ("model.rpn.anchors.scales", (1.0, 0.0)),
    ("model.rpn.anchors.aspect_ratios", ()),
    ("model.rpn.anchors.aspect_ratios", (1.0, -1.0)),
    ("model.rpn.anchors.offset", 1.0),
    ("model.rpn.proposals.top_k", 0),
    ("model.rpn.proposals.count", 0),
    ("model.rpn.proposals.train_top_k", 0),
    ("model.rpn.proposals.train_count", 0),
    ("model.rpn.proposals.nms_iou", 1.01),
    ("model.rpn.proposals.min_size", -1.0),
    ("model.rpn.proposals.max_log_scale", 0.0),
    ("model.rpn.proposals.box_weights", (1.0, 1.0, 1.0, 0.0)),
    ("model.pool.sampling_ratio", -1),
    ("model.pool.canonical_size", 0.0),
    ("model.pool.canonical_level", 6),
    ("model.pool.level_eps", -1e-6),
    ("model.box_head.pool_size", 0),
    ("model.box_head.convs", -1),
    ("model.box_head.fcs", (1024, 0)),
    ("model.box_head.box_weights", (10.0, 10.0, 5.0, float("inf"))),
    ("model.mask_head.pool_size", 0),
    ("model.mask_head.convs", -1),
    ("model.mask_head.channels", 0),
    ("model.heads", (BoxHead(),)),
    ("model.heads", (MaskHead(),)),
    ("model.detect.score_threshold", -0.1),
    ("model.detect.nms_iou", 2.0),
    ("model.detect.count", 0),
    ("model.detect.top_k", 99),
    ("model.detect.min_size", -1.0),
    ("sampling.anchors.background_iou", 0.8),
    ("sampling.anchors.foreground_iou", 1.1),
    ("sampling.rois.background_iou", -0.1),
    ("sampling.rois.count", 0),
    ("sampling.rois.foreground_fraction", 1.5),
    ("sampling.rois.foreground_fraction", 0.001),
    ("losses", ()),
    ("losses", (Mask(), Mask())),
    ("losses.rpn_box.beta", -1.0),
    ("losses.box.beta", float("nan")),
    ("losses.mask.samples", -1),
    ("losses.classification.weight", -1.0),
    ("data.train.split", ""),
    ("data.batch_size", 0),
    ("data.validation_batch_size", 0),
    ("data.max_objects", 0),
    ("data.mask_size", 0),
    ("data.buckets", ((800, 1333),)),
    ("data.buckets", ((832, 1312), (1312, 832))),
    ("data.threads", 0),
    ("data.max_broken", -1),
    ("optimizer.learning_rate", 0.0),
    ("optimizer.learning_rate", float("inf")),
    ("optimizer.momentum", 1.0),
    ("optimizer.beta2", -0.1),
    ("optimizer.weight_decay", -1e-4),
    ("optimizer.milestones", (80_000.0, 60_000.0)),
    ("optimizer.milestones", (60_000.0, 90_000.0)),
    ("optimizer.milestones", (0.0, 60_000.0)),
    ("optimizer.warmup_steps", 90_000),
    ("optimizer.warmup_steps", -1),
    ("optimizer.warmup_start", 1.5),
    ("optimizer.clip_norm", 0.0),
    ("optimizer.groups", (("backbone(", 0.1),)),
    ("optimizer.groups", (("backbone", 0.0),)),
    ("optimizer.phases", ()),
    ("optimizer.phases[0].trains", (Phase("backbone("),)),
    ("optimizer.phases[0].rate", (Phase(rate=0.0),)),
    ("optimizer.phases[0].until", (Phase(until=90_000),)),
    ("optimizer.phases[0].until", (Phase("heads"), Phase())),
    ("optimizer.phases[0].until", (Phase("heads", until=0), Phase())),
    ("optimizer.phases[1].until", (Phase("heads", until=9), Phase("4+", until=9), Phase())),
    ("optimizer.phases[1].until", (Phase("heads", until=9), Phase("4+", until=90_000), Phase())),
    ("optimizer.ema_decay", 1.0),
    ("run.steps", 0),
    ("run.accumulate", 0),
    ("run.log_every", 0),
    ("run.evaluate_every", -1),
    ("run.save_every", 0),
    ("run.keep", 0),
    ("run.best", "AP"),
    ("run.seed", -1),
    ("run.fsdp", 0),
    ("run.profile_steps", (0, 3)),
    ("run.profile_steps", (5, 4)),
    ("run.profile_steps", (1, 100_000)),
    ("customize", lambda model: model),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD)])
def test_a_wrong_value_is_named(name: str, value: object):
    with pytest.raises(ConfigError) as caught:
        validate(changed(Config(), name.partition("[")[0], value))
    where, _, remedy = str(caught.value).partition(" = ")
    assert where == name
    assert "must" in remedy or "is no" in remedy
    assert "\n" not in remedy


SQUARE = ((1024, 1024),)

RELATIONS = [
    # group norm: 32 groups, or one channel per group where there are fewer; a net 24 wide has a stage of 48
    ("model.backbone.width = 48", ModelConfig(backbone=ResNet(width=24, norm="group"))),
    ("model.fpn.channels = 80", ModelConfig(fpn=FPN(channels=80, norm="group"))),
    ("model.fpn.channels = 80", ModelConfig(fpn=FPN(channels=80), box_head=BoxHead(norm="group"))),
    ("model.mask_head.channels = 80", ModelConfig(mask_head=MaskHead(channels=80, norm="group"))),
    # basic blocks have no grouped convolutions; six channels do not divide among four groups
    ("model.backbone.depth = 18", ModelConfig(backbone=ResNet(depth=18, groups=2))),
    ("model.backbone.groups = 4", ModelConfig(backbone=ResNet(inner_width=6, groups=4))),
    # a batch of 6 cannot be cut into 4 equal parts
    ("data.batch_size = 6", DataConfig(batch_size=6), RunConfig(accumulate=4)),
    ("data.buckets", DataConfig(transforms=(ScaleJitter(0.1, 2.0),))),
    ("model.num_classes = 80", DataConfig(train=ShapesSource())),
    ("model.num_classes = 4: must be 3, as data", DataConfig(validation=ShapesSource()), ModelConfig(num_classes=4)),
    ("data.train.kinds = ()", DataConfig(train=ShapesSource(kinds=()))),
    ("data.train.kinds = ('star', 'star')", DataConfig(train=ShapesSource(kinds=("star", "star")))),
    ("optimizer.milestones", RunConfig(steps=70_000)),
    ("optimizer.warmup_steps = 1000", OptimizerConfig(schedule="cosine"), RunConfig(steps=1000)),
]


def configured(*sections: Any) -> Config:
    """The defaults with whole sections replaced."""
    names = {ModelConfig: "model", DataConfig: "data", OptimizerConfig: "optimizer", RunConfig: "run"}
    return dataclasses.replace(Config(), **{names[type(section)]: section for section in sections})


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation[0])
def test_values_that_do_not_fit_together_are_named(relation: tuple[Any, ...]):
    message, *sections = relation
    with pytest.raises(ConfigError) as caught:
        validate(configured(*sections))
    assert str(caught.value).startswith(message)


FITTING = [
    (ModelConfig(backbone=ResNet(width=16, norm="group")),),
    (ModelConfig(fpn=FPN(channels=24, norm="group")),),
    (ModelConfig(fpn=FPN(channels=80)),),
    (DataConfig(batch_size=8), RunConfig(accumulate=4)),
    (DataConfig(transforms=(ScaleJitter(0.1, 2.0),), buckets=SQUARE),),
    (DataConfig(transforms=(Resize((512, 1024), 1024),), buckets=SQUARE),),
    (ModelConfig(mask_head=None), RunConfig(best="segm/AP")),  # training alone asks for the best
    (ModelConfig(backbone=ResNet(depth=101, groups=32, inner_width=256)),),
    (ModelConfig(input=InputConfig(buckets=())),),
    (ModelConfig(num_classes=3, class_names=("cat", "N/A", "N/A")),),
    (ModelConfig(input=InputConfig(shortest_edge=800, longest_edge=1024, enlarge_only=True, buckets=SQUARE)),),
    (ModelConfig(num_classes=3), DataConfig(train=ShapesSource(), validation=ShapesSource(first=9))),
    (OptimizerConfig(schedule="cosine", warmup_steps=9), RunConfig(steps=10)),
    (OptimizerConfig(milestones=(), warmup_steps=0), RunConfig(steps=1)),
    (OptimizerConfig(ema_decay=0.999, clip_norm=1.0, groups=((r"backbone\.stem", 0.1),)),),
    (OptimizerConfig(phases=(Phase("heads", until=9), Phase("4+", until=89_999, rate=2.0), Phase(rate=0.1))),),
    (ModelConfig(num_classes=2), DataConfig(validation=ShapesSource(kinds=("ring", "square")))),
]


@pytest.mark.parametrize("sections", FITTING)
def test_values_that_fit_pass(sections: tuple[Any, ...]):
    validate(configured(*sections))
