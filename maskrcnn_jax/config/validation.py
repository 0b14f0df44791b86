"""What a configuration must satisfy: everything that would otherwise fail, or quietly go wrong, hours later."""

import itertools
import math
import re

from maskrcnn_jax.config import (
    AnchorConfig,
    BackboneConfig,
    BoxHeadConfig,
    CocoSource,
    Config,
    DataConfig,
    DetectConfig,
    ForeignFunction,
    InputConfig,
    LossConfig,
    MaskHeadConfig,
    MatchConfig,
    ModelConfig,
    OptimizerConfig,
    Phase,
    PoolConfig,
    ProposalConfig,
    RunConfig,
    ShapesSource,
    Source,
    require,
)

LEVELS = 5
"""P2 … P6."""
GROUPS = 32
"""Groups of a group norm, where there are as many channels."""
NO_CLASS = "N/A"
"""Name of an output that stands for no class, as torchvision's list of 91 has them."""


def validate(config: Config) -> None:
    """Checks every value and every relation between values that training or prediction relies on.

    Raises:
        ConfigError: Names the field, its value and the remedy.
    """
    _model(config.model)
    _loss(config.loss)
    _data(config.data)
    _run(config.run)
    _optimizer(config.optimizer, config.run.steps)
    _together(config)


def _positive(where: str, *values: float) -> None:
    for value in values:
        require(0 < value < math.inf, where, value, "must be positive and finite")


def _not_negative(where: str, *values: float) -> None:
    for value in values:
        require(0 <= value < math.inf, where, value, "must be 0 or more, and finite")


def _fraction(where: str, value: float) -> None:
    require(0 <= value <= 1, where, value, "must lie between 0 and 1")


def _buckets(where: str, buckets: tuple[tuple[int, int], ...]) -> None:
    require(len(buckets) > 0, where, buckets, "must hold at least one (height, width)")
    for bucket in buckets:
        fits = all(side > 0 and side % 32 == 0 for side in bucket)
        require(fits, where, bucket, "both sides must be positive multiples of 32, the stride of P5")


def _holds(where: str, buckets: tuple[tuple[int, int], ...], shortest: int, longest: int) -> None:
    for height, width in ((shortest, longest), (longest, shortest)):
        held = any(height <= h and width <= w for h, w in buckets)
        remedy = f"must hold a resized image of {height}×{width} pixels; add a bucket at least as large"
        require(held, where, buckets, remedy)


def _model(model: ModelConfig) -> None:
    _positive("model.num_classes", model.num_classes)
    names = model.class_names
    fits = len(names) in (0, model.num_classes)
    require(fits, "model.class_names", names, f"must be empty or name all model.num_classes = {model.num_classes}")
    known = [name for name in names if name != NO_CLASS]
    require(len(set(known)) == len(known), "model.class_names", names, "must not name a class twice")
    validate_input(model.input)
    _backbone(model.backbone)
    _positive("model.fpn.channels", model.fpn.channels)
    _not_negative("model.fpn.norm_eps", model.fpn.norm_eps)
    if "group" in (model.fpn.norm, model.box_head.norm):
        _groups("model.fpn.channels", model.fpn.channels)
    _positive("model.rpn.convs", model.rpn.convs)
    if model.rpn.channels is not None:
        _positive("model.rpn.channels", model.rpn.channels)
    _anchors(model.rpn.anchors)
    _proposals(model.rpn.proposals)
    _pool(model.pool)
    _box_head(model.box_head)
    if model.mask_head is not None:
        _mask_head(model.mask_head)
    validate_detect(model.detect)


def _backbone(backbone: BackboneConfig) -> None:
    _positive("model.backbone.width", backbone.width)
    _not_negative("model.backbone.norm_eps", backbone.norm_eps)
    _positive("model.backbone.groups", backbone.groups)
    inner = backbone.inner_width or backbone.width
    _positive("model.backbone.inner_width", inner)
    plain = backbone.groups == 1 and backbone.inner_width is None and not backbone.stride_in_1x1
    remedy = "has basic blocks: groups, inner_width and stride_in_1x1 are for depths 50, 101 and 152"
    require(backbone.depth >= 50 or plain, "model.backbone.depth", backbone.depth, remedy)
    divides = inner % backbone.groups == 0
    require(divides, "model.backbone.groups", backbone.groups, f"must divide the {inner} channels inside a bottleneck")
    if backbone.norm == "group":
        for factor in (1, 2, 4, 8):
            _groups("model.backbone.width", backbone.width * factor)
            _groups("model.backbone.inner_width", inner * factor)


def _groups(where: str, channels: int) -> None:
    fits = channels < GROUPS or channels % GROUPS == 0
    require(fits, where, channels, f"must be below {GROUPS} or a multiple of it, for group norm")


def validate_input(image: InputConfig) -> None:
    """Checks what the network expects of an image; see `validate`."""
    for value in image.mean:
        require(math.isfinite(value), "model.input.mean", value, "must be finite")
    _positive("model.input.std", *image.std)
    _positive("model.input.shortest_edge", image.shortest_edge)
    fits = image.longest_edge >= image.shortest_edge
    require(fits, "model.input.longest_edge", image.longest_edge, "must not be below model.input.shortest_edge")
    if image.buckets:
        _buckets("model.input.buckets", image.buckets)
        shortest = image.longest_edge if image.enlarge_only else image.shortest_edge
        _holds("model.input.buckets", image.buckets, shortest, image.longest_edge)


def _anchors(anchors: AnchorConfig) -> None:
    where = "model.rpn.anchors"
    require(len(anchors.sizes) == LEVELS, f"{where}.sizes", anchors.sizes, f"must hold {LEVELS} sizes, for P2 … P6")
    _positive(f"{where}.sizes", *anchors.sizes)
    require(len(anchors.aspect_ratios) > 0, f"{where}.aspect_ratios", anchors.aspect_ratios, "must not be empty")
    _positive(f"{where}.aspect_ratios", *anchors.aspect_ratios)
    require(0 <= anchors.offset < 1, f"{where}.offset", anchors.offset, "must lie in [0, 1)")


def _proposals(proposals: ProposalConfig) -> None:
    where = "model.rpn.proposals"
    _positive(f"{where}.top_k", proposals.top_k)
    _positive(f"{where}.count", proposals.count)
    _positive(f"{where}.train_top_k", proposals.train_top_k)
    _positive(f"{where}.train_count", proposals.train_count)
    _fraction(f"{where}.nms_iou", proposals.nms_iou)
    if proposals.min_size is not None:
        _not_negative(f"{where}.min_size", proposals.min_size)
    if proposals.max_log_scale is not None:
        _positive(f"{where}.max_log_scale", proposals.max_log_scale)
    _positive(f"{where}.box_weights", *proposals.box_weights)


def _pool(pool: PoolConfig) -> None:
    _not_negative("model.pool.sampling_ratio", pool.sampling_ratio)
    _positive("model.pool.canonical_size", pool.canonical_size)
    level = pool.canonical_level
    require(2 <= level <= 5, "model.pool.canonical_level", level, "must be a level that is pooled from: 2, 3, 4 or 5")
    _not_negative("model.pool.level_eps", pool.level_eps)


def _box_head(head: BoxHeadConfig) -> None:
    _positive("model.box_head.pool_size", head.pool_size)
    _not_negative("model.box_head.convs", head.convs)
    _positive("model.box_head.fcs", *head.fcs)
    _not_negative("model.box_head.norm_eps", head.norm_eps)
    _positive("model.box_head.box_weights", *head.box_weights)
    if head.fc_norm == "group":
        for width in head.fcs:
            _groups("model.box_head.fcs", width)


def _mask_head(head: MaskHeadConfig) -> None:
    _positive("model.mask_head.pool_size", head.pool_size)
    _not_negative("model.mask_head.convs", head.convs)
    _positive("model.mask_head.channels", head.channels)
    _not_negative("model.mask_head.norm_eps", head.norm_eps)
    if head.norm == "group":
        _groups("model.mask_head.channels", head.channels)


def validate_detect(detect: DetectConfig) -> None:
    """Checks how detections are chosen; see `validate`."""
    _fraction("model.detect.score_threshold", detect.score_threshold)
    _fraction("model.detect.nms_iou", detect.nms_iou)
    _positive("model.detect.count", detect.count)
    fits = detect.top_k >= detect.count
    require(fits, "model.detect.top_k", detect.top_k, f"must not be below model.detect.count = {detect.count}")
    if detect.min_size is not None:
        _not_negative("model.detect.min_size", detect.min_size)


def _loss(loss: LossConfig) -> None:
    _match("loss.rpn_match", loss.rpn_match)
    _match("loss.box_match", loss.box_match)
    _not_negative("loss.rpn_beta", loss.rpn_beta)
    _not_negative("loss.box_beta", loss.box_beta)
    _not_negative("loss.mask_samples", loss.mask_samples)
    _not_negative("loss.weights", *loss.weights)
    slots = int(loss.box_match.count * loss.box_match.foreground_fraction)
    remedy = f"of loss.box_match.count = {loss.box_match.count} rois none could be foreground; set one of them higher"
    require(slots > 0, "loss.box_match.foreground_fraction", loss.box_match.foreground_fraction, remedy)


def _match(where: str, match: MatchConfig) -> None:
    _fraction(f"{where}.foreground_iou", match.foreground_iou)
    _fraction(f"{where}.background_iou", match.background_iou)
    ordered = match.background_iou <= match.foreground_iou
    remedy = f"must not exceed {where}.foreground_iou = {match.foreground_iou}"
    require(ordered, f"{where}.background_iou", match.background_iou, remedy)
    _positive(f"{where}.count", match.count)
    _fraction(f"{where}.foreground_fraction", match.foreground_fraction)
    if match.crowd_iou is not None:
        _fraction(f"{where}.crowd_iou", match.crowd_iou)


def _data(data: DataConfig) -> None:
    _source("data.train", data.train)
    _source("data.validation", data.validation)
    _positive("data.batch_size", data.batch_size)
    _positive("data.validation_batch_size", data.validation_batch_size)
    _positive("data.max_objects", data.max_objects)
    _positive("data.mask_size", data.mask_size)
    _fraction("data.flip", data.flip)
    _fraction("data.color_jitter", data.color_jitter)
    _fraction("data.copy_paste", data.copy_paste)
    _positive("data.threads", data.threads)
    _not_negative("data.max_broken", data.max_broken)
    _buckets("data.buckets", data.buckets)
    if data.scale_jitter is not None:
        low, high = data.scale_jitter
        require(
            0 < low <= high < math.inf, "data.scale_jitter", data.scale_jitter, "must be (low, high), 0 < low ≤ high"
        )
        require(
            len(data.buckets) == 1, "data.buckets", data.buckets, "must be exactly one when data.scale_jitter is on"
        )
        return
    require(len(data.shortest_edges) > 0, "data.shortest_edges", data.shortest_edges, "must hold at least one length")
    _positive("data.shortest_edges", *data.shortest_edges)
    largest = max(data.shortest_edges)
    fits = data.longest_edge >= largest
    require(fits, "data.longest_edge", data.longest_edge, f"must not be below {largest}, of data.shortest_edges")
    _holds("data.buckets", data.buckets, largest, data.longest_edge)


def _source(where: str, source: Source) -> None:
    if isinstance(source, CocoSource):
        require(source.split != "", f"{where}.split", source.split, 'must name a split, such as "train" or "val[:8]"')
        return
    _not_negative(f"{where}.seed", source.seed)
    _positive(f"{where}.image_size", source.image_size)
    _not_negative(f"{where}.first", source.first)
    _positive(f"{where}.count", source.count)
    _positive(f"{where}.max_objects", source.max_objects)
    kinds = source.kinds
    require(0 < len(kinds) == len(set(kinds)), f"{where}.kinds", kinds, "must hold at least one kind, and none twice")


def _optimizer(optimizer: OptimizerConfig, steps: int) -> None:
    _positive("optimizer.learning_rate", optimizer.learning_rate)
    for name in ("momentum", "beta2"):
        value = getattr(optimizer, name)
        require(0 <= value < 1, f"optimizer.{name}", value, "must lie in [0, 1)")
    _not_negative("optimizer.weight_decay", optimizer.weight_decay)
    if optimizer.schedule == "step":
        edges = (0, *optimizer.milestones, steps)
        rising = all(low < high for low, high in itertools.pairwise(edges))
        remedy = f"must increase, stay above 0 and below run.steps = {steps}; scale them with a shorter run"
        require(rising, "optimizer.milestones", optimizer.milestones, remedy)
    warmup = optimizer.warmup_steps
    remedy = f"must be 0 or more and below run.steps = {steps}; shorten it with a shorter run"
    require(0 <= warmup < steps, "optimizer.warmup_steps", warmup, remedy)
    _fraction("optimizer.warmup_start", optimizer.warmup_start)
    if optimizer.clip_norm is not None:
        _positive("optimizer.clip_norm", optimizer.clip_norm)
    _phases(optimizer.phases, steps)
    for pattern, factor in optimizer.groups:
        remedy = "must be positive and finite; optimizer.phases says what does not learn at all"
        require(0 < factor < math.inf, "optimizer.groups", factor, remedy)
        _regular("optimizer.groups", pattern)
    if optimizer.ema_decay is not None:
        require(0 < optimizer.ema_decay < 1, "optimizer.ema_decay", optimizer.ema_decay, "must lie between 0 and 1")


def _phases(phases: tuple[Phase, ...], steps: int) -> None:
    require(len(phases) > 0, "optimizer.phases", phases, "must hold at least one; Phase() trains everything")
    for i, phase in enumerate(phases):
        _regular(f"optimizer.phases[{i}].trains", phase.trains)
        _positive(f"optimizer.phases[{i}].rate", phase.rate)
    *ends, last = (phase.until for phase in phases)
    remedy = f"must be None: the last phase ends with the run, at run.steps = {steps}"
    require(last is None, f"optimizer.phases[{len(ends)}].until", last, remedy)
    before = 0
    for i, end in enumerate(ends):
        remedy = f"must be a step after {before}, where the phase begins, and before run.steps = {steps}"
        require(end is not None and before < end < steps, f"optimizer.phases[{i}].until", end, remedy)
        before = end or 0


def _regular(where: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        require(False, where, pattern, f"is no regular expression ({error}); correct it")


def _run(run: RunConfig) -> None:
    _positive("run.steps", run.steps)
    _positive("run.accumulate", run.accumulate)
    _positive("run.log_every", run.log_every)
    _not_negative("run.evaluate_every", run.evaluate_every)
    _positive("run.save_every", run.save_every)
    _positive("run.keep", run.keep)
    _not_negative("run.seed", run.seed)
    _positive("run.fsdp", run.fsdp)
    if run.profile_steps is not None:
        first, last = run.profile_steps
        remedy = f"must be two steps in order, from 1 to run.steps = {run.steps}"
        require(1 <= first <= last <= run.steps, "run.profile_steps", run.profile_steps, remedy)
    known = re.match(r"(bbox|segm)/A[PR]", run.best) is not None
    require(known, "run.best", run.best, 'must be a metric such as "segm/AP" or "bbox/AP50"')


def _together(config: Config) -> None:
    batch, parts = config.data.batch_size, config.run.accumulate
    require(batch % parts == 0, "data.batch_size", batch, f"must be a multiple of run.accumulate = {parts}")
    for where, source in (("data.train", config.data.train), ("data.validation", config.data.validation)):
        if isinstance(source, ShapesSource):
            classes, kinds = config.model.num_classes, len(source.kinds)
            require(classes == kinds, "model.num_classes", classes, f"must be {kinds}, as {where}.kinds has")
    name = getattr(config.customize, "__qualname__", "<unnamed>")
    remedy = "must be a function defined with `def` at the top of a file, so that a run folder can name it"
    named = isinstance(config.customize, ForeignFunction) or "<" not in name
    require(named, "customize", config.customize, remedy)
