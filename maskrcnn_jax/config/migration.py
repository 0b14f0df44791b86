"""Conversion of the JSON of earlier versions' configurations to the form of this version."""

from dataclasses import fields
from typing import Any

from maskrcnn_jax.config.serialization import from_json, to_plain
from maskrcnn_jax.config.short_flags import ShortFlags

SOURCES = {
    "folder": "maskrcnn_jax.data.sources.prepared:CocoSource",
    "seed": "maskrcnn_jax.data.sources.shapes:ShapesSource",
}
"""A field that identifies a source, and the source's type."""
LOSSES: dict[str, dict[str, str]] = {
    "RPNObjectness": {"normalizer": "rpn_normalizer"},
    "RPNBox": {"beta": "rpn_beta", "normalizer": "rpn_normalizer"},
    "Classification": {},
    "BoxRegression": {"beta": "box_beta", "normalizer": "box_normalizer"},
    "Mask": {"binary_targets": "binary_mask_targets", "samples": "mask_samples", "aligned": "mask_aligned"},
}
"""The losses in the order of their old weights; the fields of each and their old names."""
SAMPLING = {"anchors": "rpn_match", "rois": "box_match", "append_ground_truth": "append_ground_truth"}
"""Fields of the sampling and their old names."""


def upgrade(values: Any) -> Any:
    """The plain values of a configuration, converted from the form of earlier versions.

    Earlier, the section `loss` held what are now `sampling` and `losses`, sources had no type, and transforms
    were fields of `data`. Values of an unknown form stay as they are, so that reading them raises an error with
    their names.
    """
    if not isinstance(values, dict):
        return values
    values = dict(values)
    if isinstance(data := values.get("data"), dict):
        values["data"] = _with_transforms({name: _typed_source(value) for name, value in data.items()})
    if _is_old_loss(values.get("loss")) and "losses" not in values:
        values |= _split_loss(values.pop("loss"))
    return values


def _with_transforms(data: dict[str, Any]) -> dict[str, Any]:
    short = {field.name for field in fields(ShortFlags)}
    if "transforms" in data or not short & data.keys():
        return data
    rest = {name: value for name, value in data.items() if name not in short}
    old = from_json(ShortFlags, {name: value for name, value in data.items() if name in short}, "data")
    return rest | {"transforms": to_plain(old.transforms())}


def _typed_source(value: Any) -> Any:
    if not isinstance(value, dict) or "type" in value:
        return value
    kinds = [kind for field, kind in SOURCES.items() if field in value]
    return {"type": kinds[0], **value} if len(kinds) == 1 else value


def _split_loss(loss: dict[str, Any]) -> dict[str, Any]:
    """The sections `sampling` and `losses` of a section `loss`."""
    losses = []
    for (kind, renamed), weight in zip(LOSSES.items(), loss.get("weights", [1.0] * len(LOSSES)), strict=True):
        own = {new: loss[old] for new, old in renamed.items() if old in loss}
        losses.append({"type": f"maskrcnn_jax.training.losses:{kind}", "weight": weight, **own})
    if loss.get("box_normalizer") == "positive":
        losses[1]["normalizer"] = "positive"
    return {"sampling": {new: loss[old] for new, old in SAMPLING.items() if old in loss}, "losses": losses}


def _is_old_loss(loss: Any) -> bool:
    """Whether a section `loss` has only fields that earlier versions wrote, so that nothing of it is lost."""
    if not isinstance(loss, dict):
        return False
    known = {"weights", *SAMPLING.values(), *(old for renamed in LOSSES.values() for old in renamed.values())}
    weights = loss.get("weights", [1.0] * len(LOSSES))
    return loss.keys() <= known and isinstance(weights, list) and len(weights) == len(LOSSES)
