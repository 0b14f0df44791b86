"""A Python file that builds a model in torchvision, with definitions of what torchvision itself lacks."""

import json
import re
import textwrap

from maskrcnn_jax.checkpoints.convert import torchvision_parts as parts
from maskrcnn_jax.checkpoints.convert.parts import fpn, resnet
from maskrcnn_jax.checkpoints.convert.torchvision import two_fcs
from maskrcnn_jax.checkpoints.convert.torchvision_model import CONVENTIONS
from maskrcnn_jax.config import MaskHead, ModelConfig, Norm
from maskrcnn_jax.nn.backbones.resnet import BLOCKS

TEXT_WIDTH = 116


def script(config: ModelConfig, weights: str) -> str:
    """The text of a Python file with `CATEGORIES`, `build_model()` and `load_model()`.

    Where the model has torchvision's conventions, only torchvision's own functions and classes are used.

    Args:
        config: a model that torchvision has; see `require_expressible`.
        weights: name of the file beside it that has the state dict.
    """
    names = config.class_names or tuple(f"class {i}" for i in range(1, config.num_classes + 1))
    quoted = [literal(name) for name in ("__background__", *names)]
    categories = f"CATEGORIES = {_wrapped(quoted)}"
    build = "def build_model():\n" + textwrap.indent("\n".join([*_backbone(config), *_detector(config)]), "    ")
    body = [categories, *parts.classes(config), build, parts.LOAD.replace("WEIGHTS", literal(weights))]
    text = "\n\n\n".join(part.strip("\n") for part in body)
    return "\n".join([parts.HEADER, _imports(text), "", text, ""])


def literal(text: str) -> str:
    """Any text as a Python literal, on one line and in characters that UTF-8 has."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def _imports(text: str) -> str:
    """The imports that a text uses."""
    lines = []
    for line in parts.IMPORTS.splitlines():
        start, word, names = line.partition("import ")
        used = [name for name in names.split(", ") if re.search(rf"\b{name.rpartition(' ')[2]}\b", text)]
        if used or not word:
            lines.append(start + word + ", ".join(used))
    return "\n".join(lines)


def _wrapped(items: list[str]) -> str:
    """A tuple on as many lines as it takes."""
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) > TEXT_WIDTH:
            lines.append("")
        lines[-1] += f"{item}, "
    return "(\n" + "".join(f"    {line.rstrip()}\n" for line in lines) + ")"


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}(\n" + "".join(textwrap.indent(argument, "    ") + ",\n" for argument in arguments) + ")"


def _norm(norm: Norm, eps: float) -> str:
    if norm == "none":
        return "None"
    if norm == "group":
        return f"group_norm({eps!r})"
    layer = "FrozenBatchNorm2d" if norm == "frozen_batch" else "nn.BatchNorm2d"
    return layer if eps == 1e-5 else f"partial({layer}, eps={eps!r})"


def _backbone(config: ModelConfig) -> list[str]:
    backbone, neck = resnet(config), fpn(config)
    bottleneck, inner = backbone.depth >= 50, backbone.inner_width or backbone.width
    per_group = inner / backbone.groups * 64 / backbone.width
    arguments = ["Bottleneck" if bottleneck else "BasicBlock", str(list(BLOCKS[backbone.depth]))]
    if (backbone.groups, per_group) != (1, 64):
        arguments += [f"groups={backbone.groups}", f"width_per_group={per_group:g}"]
    arguments.append(f"norm_layer={_norm(backbone.norm, backbone.norm_eps)}")
    lines = [f"body = {'ResNet' if backbone.width == 64 else 'NarrowResNet'}({', '.join(arguments)})"]
    if backbone.stride_in_1x1 and bottleneck:
        lines += [
            "for stage in (body.layer2, body.layer3, body.layer4):",
            "    stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)",
        ]
    channels = [backbone.width * (4 if bottleneck else 1) * 2**i for i in range(4)]
    norm = _norm(neck.norm, neck.norm_eps)
    return [
        *lines,
        'layers, levels = ["layer1", "layer2", "layer3", "layer4"], ["0", "1", "2", "3"]',
        f"backbone = BackboneWithFPN(body, dict(zip(layers, levels)), {channels}, {neck.channels}, norm_layer={norm})",
    ]


def _detector(config: ModelConfig) -> list[str]:
    image, anchors, proposals, detect = config.input, config.rpn.anchors, config.rpn.proposals, config.detect
    mean, std = ([round(value / 255, 12) for value in values] for values in (image.mean, image.std))
    ratios, channels = anchors.aspect_ratios, config.fpn.channels
    arguments = [
        "backbone",
        f"min_size={image.shortest_edge}",
        f"max_size={image.longest_edge}",
        f"image_mean={mean}",
        f"image_std={std}",
        "rpn_anchor_generator=anchors",
        f"rpn_head=RPNHead({channels}, {len(ratios)}, conv_depth={config.rpn.convs})",
        f"rpn_pre_nms_top_n_train={proposals.train_top_k}",
        f"rpn_pre_nms_top_n_test={proposals.top_k}",
        f"rpn_post_nms_top_n_train={proposals.train_count}",
        f"rpn_post_nms_top_n_test={proposals.count}",
        f"rpn_nms_thresh={proposals.nms_iou}",
        f"box_roi_pool={_pool(config, config.box_head.pool_size)}",
        f"box_head={_box_head(config)}",
        f"box_predictor=FastRCNNPredictor({config.box_head.fcs[-1]}, {config.num_classes + 1})",
        f"box_score_thresh={detect.score_threshold}",
        f"box_nms_thresh={detect.nms_iou}",
        f"box_detections_per_img={detect.count}",
        f"bbox_reg_weights={config.box_head.box_weights}",
    ]
    if config.mask_head is not None:
        arguments += _mask_head(config, config.mask_head)
    generator = "Anchors" if parts.has_own_anchors(config) else "AnchorGenerator"
    sizes = tuple((size,) for size in anchors.sizes)
    return [
        f"anchors = {generator}({sizes}, ({ratios},) * {len(sizes)})",
        f"model = {_call('MaskRCNN' if config.mask_head else 'FasterRCNN', arguments)}",
        *_adjustments(config, mean, std),
        "return model",
    ]


def _pool(config: ModelConfig, side: int) -> str:
    pool, own = config.pool, "Pool" if parts.has_own_pool(config) else "MultiScaleRoIAlign"
    canonical = "".join(
        f", {name}={value:g}"
        for name, value, default in (
            ("canonical_scale", pool.canonical_size, 224),
            ("canonical_level", pool.canonical_level, 4),
        )
        if value != default
    )
    return f"{own}(levels, {side}, {pool.sampling_ratio}{canonical})"


def _box_head(config: ModelConfig) -> str:
    head, channels = config.box_head, config.fpn.channels
    if two_fcs(config):
        return f"TwoMLPHead({channels * head.pool_size**2}, {head.fcs[0]})"
    side, norm = head.pool_size, _norm(head.norm, head.norm_eps)
    return f"FastRCNNConvFCHead({(channels, side, side)}, {[channels] * head.convs}, {list(head.fcs)}, {norm})"


def _mask_head(config: ModelConfig, head: MaskHead) -> list[str]:
    inputs, widths = config.fpn.channels, [head.channels] * head.convs
    return [
        f"mask_roi_pool={_pool(config, head.pool_size)}",
        f"mask_head=MaskRCNNHeads({inputs}, {widths}, 1, {_norm(head.norm, head.norm_eps)})",
        f"mask_predictor=MaskRCNNPredictor({[inputs, *widths][-1]}, {head.channels}, {config.num_classes + 1})",
    ]


def _adjustments(config: ModelConfig, mean: list[float], std: list[float]) -> list[str]:
    """Settings that torchvision's constructors do not take."""
    proposals, image, lines = config.rpn.proposals, config.input, []
    if proposals.min_size != CONVENTIONS.rpn.proposals.min_size:
        # Boxes of exactly this side are kept there and not here, which matters for empty ones.
        smallest = 0.0 if proposals.min_size is None else proposals.min_size or 1e-30
        lines.append(f"model.rpn.min_size = {smallest}")
    if proposals.box_weights != CONVENTIONS.rpn.proposals.box_weights:
        lines.append(f"model.rpn.box_coder.weights = {proposals.box_weights}")
    if proposals.max_log_scale != CONVENTIONS.rpn.proposals.max_log_scale:
        limit = 'float("inf")' if proposals.max_log_scale is None else proposals.max_log_scale
        lines += [
            "for coder in (model.rpn.box_coder, model.roi_heads.box_coder):",
            f"    coder.bbox_xform_clip = {limit}",
        ]
    if parts.has_own_transform(config):
        lines.append(f"model.transform = Transform({image.shortest_edge}, {image.longest_edge}, {mean}, {std})")
    return lines
