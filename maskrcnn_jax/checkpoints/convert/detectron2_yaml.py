"""Detectron2's "config.yaml" beside a file of weights, as its trainer writes it."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from maskrcnn_jax.checkpoints.convert.parts import resnet
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.files.reading import read_bytes

NAME = "config.yaml"
LIMIT = 2**18
"""Bytes; Detectron2's have 10 kB."""

SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN", "PanopticFPN"),
    "MODEL.BACKBONE.NAME": ("build_resnet_fpn_backbone",),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.RPN.HEAD_NAME": ("StandardRPNHead",),
    "MODEL.RPN.BOUNDARY_THRESH": (-1,),
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator",),
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads",),
    "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead",),
    "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": (False,),
    "MODEL.ROI_MASK_HEAD.NAME": ("MaskRCNNConvUpsampleHead",),
    "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": (False,),
    "MODEL.FPN.FUSE_TYPE": ("sum",),
    "MODEL.RESNETS.RES5_DILATION": (1,),
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": ([False] * 4,),
    "TEST.AUG.ENABLED": (False,),
}
"""Supported values of keys that change the network."""

NORMS = {"FrozenBN": "frozen_batch", "BN": "batch", "SyncBN": "batch", "nnSyncBN": "batch", "naiveSyncBN": "batch"}
POOLERS = {"ROIAlignV2": True, "ROIAlign": False}


class YamlReading(NamedTuple):
    """A model with the settings of a configuration."""

    config: ModelConfig
    notes: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    """Fields of the model that the configuration sets."""


def read_yaml(weights: Path, model: ModelConfig) -> YamlReading:
    """The model with the settings of "config.yaml" beside its weights.

    Args:
        weights: the file of the weights.
        model: what the weights are recognised as.

    Raises:
        ConversionError: the configuration is of a network that is not supported, or a value in it is of a wrong kind.
    """
    path = weights.parent / NAME
    if not path.is_file():
        return YamlReading(model)
    try:
        # Scalars stay text: no types that the file names are created.
        loaded = yaml.load(read_bytes(path, LIMIT), Loader=yaml.BaseLoader)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return YamlReading(model, (f"{path} is not used, as it cannot be read: {reason}",))
    values = _Values(path, loaded)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("MODEL"), dict):
        return YamlReading(model, (f"{path} is no configuration of Detectron2 and is not used",))
    differing = _differing(values, model)
    if differing:
        return YamlReading(model, (f"{path} is of another model and is not used: {differing}",))
    unsupported = [
        f"{key} = {value!r:.60}"
        for key, allowed in SUPPORTED.items()
        if (value := values.get(key)) is not None and value not in allowed
    ]
    if unsupported:
        raise ConversionError(
            f"{path} sets {', '.join(unsupported)}, which is not supported; if the file does not belong to these "
            "weights, remove it"
        )
    found, known = _with_values(values, model)
    base = "; its _BASE_ is not read" if "_BASE_" in loaded else ""
    return YamlReading(found, (f"settings are taken from {path}{base}",), known)


class _Values:
    """Values of a configuration by dotted name."""

    def __init__(self, path: Path, loaded: Any) -> None:
        self.path, self._loaded = path, loaded

    def get(self, key: str) -> Any:
        """A number, boolean, text or list of those; None if it is missing."""
        value = self._loaded
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return _plain(value)

    def number(self, key: str, least: float, most: float) -> float | None:
        value = self.get(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not least <= value <= most:
            raise ConversionError(f"{self.path}: {key} = {value!r:.60}: wanted a number from {least} to {most}")
        return float(value)

    def whole(self, key: str, least: int) -> int | None:
        value = self.number(key, least, 1_000_000)
        if value is not None and value != int(value):
            raise ConversionError(f"{self.path}: {key} = {value}: wanted a whole number")
        return None if value is None else int(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...] | None:
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count or not all(type(v) in (int, float) for v in value):
            raise ConversionError(f"{self.path}: {key} = {value!r:.60}: wanted {count} numbers")
        return tuple(float(v) for v in value)

    def choice(self, key: str, choices: Mapping[Any, Any]) -> Any:
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, list) or value not in choices:
            raise ConversionError(f"{self.path}: {key} = {value!r:.60}: must be one of {list(choices)}")
        return choices[value]


def _plain(value: Any, depth: int = 2) -> Any:
    """The value that a text of a configuration stands for; tuples may be written as text, "(1, 2)".

    Lists of depth 3, mappings and long lists, which aliases can make very large, are not values of any key.
    """
    if isinstance(value, list) and depth and len(value) <= 64:
        return [_plain(item, depth - 1) for item in value]
    if not isinstance(value, str) or len(value) > 200:
        return f"a {type(value).__name__}"
    if value.lower() in ("", "~", "null"):
        return None
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value
    return list(read) if isinstance(read, tuple) else read


def _differing(values: _Values, model: ModelConfig) -> str:
    """Where a configuration's architecture differs from that of the weights."""
    masks = values.get("MODEL.MASK_ON")
    architecture = {
        "MODEL.RESNETS.DEPTH": resnet(model).depth,
        "MODEL.RESNETS.NUM_GROUPS": resnet(model).groups,
        "MODEL.ROI_HEADS.NUM_CLASSES": model.num_classes,
        "MODEL.FPN.OUT_CHANNELS": model.fpn.channels,
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": model.box_head.pool_size,
    }
    found = [
        f"{key} = {value!r:.40}, and the weights have {expected}"
        for key, expected in architecture.items()
        if (value := values.get(key)) is not None and value != expected
    ]
    if masks is False and model.mask_head is not None:
        found.append("MODEL.MASK_ON = False, and the weights have a mask head")
    return "; ".join(found)


def _with_values(values: _Values, model: ModelConfig) -> tuple[ModelConfig, frozenset[str]]:
    bgr = values.choice("INPUT.FORMAT", {"BGR": True, "RGB": False})
    bgr = model.input.bgr if bgr is None else bgr
    mean, std = (values.numbers(f"MODEL.PIXEL_{kind}", 3) for kind in ("MEAN", "STD"))
    given: dict[str, Any] = {
        "input.bgr": bgr if values.get("INPUT.FORMAT") is not None else None,
        "input.mean": mean and (mean[::-1] if bgr else mean),
        "input.std": std and (std[::-1] if bgr else std),
        "input.shortest_edge": values.whole("INPUT.MIN_SIZE_TEST", 1),
        "input.longest_edge": values.whole("INPUT.MAX_SIZE_TEST", 1),
        "backbone.stride_in_1x1": values.choice("MODEL.RESNETS.STRIDE_IN_1X1", {True: True, False: False}),
        "backbone.norm": _norm(values, model),
        "rpn.anchors.sizes": _sizes(values),
        "rpn.anchors.aspect_ratios": _ratios(values),
        "rpn.anchors.offset": values.number("MODEL.ANCHOR_GENERATOR.OFFSET", 0, 1),
        "rpn.proposals.top_k": values.whole("MODEL.RPN.PRE_NMS_TOPK_TEST", 1),
        "rpn.proposals.train_top_k": values.whole("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 1),
        "rpn.proposals.count": values.whole("MODEL.RPN.POST_NMS_TOPK_TEST", 1),
        "rpn.proposals.train_count": values.whole("MODEL.RPN.POST_NMS_TOPK_TRAIN", 1),
        "rpn.proposals.nms_iou": values.number("MODEL.RPN.NMS_THRESH", 0, 1),
        "rpn.proposals.min_size": values.number("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 0, 1_000_000),
        "rpn.proposals.box_weights": values.numbers("MODEL.RPN.BBOX_REG_WEIGHTS", 4),
        "pool.aligned": values.choice("MODEL.ROI_BOX_HEAD.POOLER_TYPE", POOLERS),
        "pool.sampling_ratio": values.whole("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 0),
        "box_head.box_weights": values.numbers("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", 4),
        "detect.score_threshold": values.number("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0, 1),
        "detect.nms_iou": values.number("MODEL.ROI_HEADS.NMS_THRESH_TEST", 0, 1),
        "detect.count": values.whole("TEST.DETECTIONS_PER_IMAGE", 1),
    }
    if model.mask_head is not None:
        given["mask_head.pool_size"] = values.whole("MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION", 1)
        for key in ("POOLER_TYPE", "POOLER_SAMPLING_RATIO"):
            box, mask = (values.get(f"MODEL.ROI_{head}_HEAD.{key}") for head in ("BOX", "MASK"))
            if box is not None and mask is not None and box != mask:
                raise ConversionError(f"{values.path}: {key} is {box!r} for boxes, {mask!r} for masks; must be equal")
    found = {name: value for name, value in given.items() if value is not None}
    for name, value in found.items():
        model = _with(model, name.split("."), value)
    return model, frozenset(found)


def _with(config: Any, names: list[str], value: Any) -> Any:
    first, *rest = names
    return replace(config, **{first: _with(getattr(config, first), rest, value) if rest else value})


def _norm(values: _Values, model: ModelConfig) -> str | None:
    """Whether batch norm is frozen, which arrays do not show."""
    if resnet(model).norm not in ("frozen_batch", "batch"):
        return None
    return values.choice("MODEL.RESNETS.NORM", NORMS)


def _sizes(values: _Values) -> tuple[float, ...] | None:
    sizes = values.get("MODEL.ANCHOR_GENERATOR.SIZES")
    if sizes is None:
        return None
    levels = [size[0] if isinstance(size, list) and len(size) == 1 else None for size in _listed(sizes)]
    if len(levels) != 5 or not all(map(_is_positive, levels)):
        raise ConversionError(f"{values.path}: anchors' SIZES = {sizes!r:.80}: must be one per level for 5 levels")
    return tuple(float(size) for size in levels if size is not None)


def _ratios(values: _Values) -> tuple[float, ...] | None:
    ratios = values.get("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS")
    if ratios is None:
        return None
    levels = list(_listed(ratios))
    first = levels[0] if levels else None
    numbers = first if isinstance(first, list) else []
    if any(level != first for level in levels) or not numbers or not all(_is_positive(ratio) for ratio in numbers):
        raise ConversionError(
            f"{values.path}: anchors' ASPECT_RATIOS = {ratios!r:.80}: must be the same for all levels, [[0.5, 1, 2]]"
        )
    return tuple(float(ratio) for ratio in numbers)


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e6


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else []
