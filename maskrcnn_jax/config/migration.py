"""Configurations of earlier versions, as JSON holds them, in the form of this version."""

from dataclasses import fields
from typing import Any

from maskrcnn_jax.config.serialization import from_json, to_plain
from maskrcnn_jax.config.short_flags import ShortFlags

SOURCES = {
    "folder": "maskrcnn_jax.data.sources.prepared:CocoSource",
    "seed": "maskrcnn_jax.data.sources.shapes:ShapesSource",
}
"""A field that a source has alone, and its type."""


def upgrade(values: Any) -> Any:
    """The plain values of a configuration with what earlier versions wrote in another form.

    Until version 0.1 the section `loss` held what are now `sampling` and `losses`, sources had no type, and transforms
    were fields of `data`. What is of no known form stays as it is, so that reading it names what is wrong.
    """
    if not isinstance(values, dict):
        return values
    values = dict(values)
    if isinstance(data := values.get("data"), dict):
        values["data"] = _with_transforms({name: _typed_source(value) for name, value in data.items()})
    if isinstance(loss := values.get("loss"), dict) and "losses" not in values:
        del values["loss"]
        values |= _split_loss(loss)
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
    fields = {
        "rpn_objectness": {"normalizer": "rpn_normalizer"},
        "rpn_box": {"beta": "rpn_beta", "normalizer": "rpn_normalizer"},
        "classification": {},
        "box": {"beta": "box_beta", "normalizer": "box_normalizer"},
        "mask": {"binary_targets": "binary_mask_targets", "samples": "mask_samples", "aligned": "mask_aligned"},
    }
    kinds = ("RPNObjectness", "RPNBox", "Classification", "BoxRegression", "Mask")
    weights = loss.get("weights", [1.0] * len(kinds))
    losses = []
    for kind, renamed, weight in zip(kinds, fields.values(), weights, strict=False):
        own = {new: loss[old] for new, old in renamed.items() if old in loss}
        losses.append({"type": f"maskrcnn_jax.training.losses:{kind}", "weight": weight, **own})
    if loss.get("box_normalizer") == "positive":
        losses[1]["normalizer"] = "positive"
    renamed = {"anchors": "rpn_match", "rois": "box_match", "append_ground_truth": "append_ground_truth"}
    return {"sampling": {new: loss[old] for new, old in renamed.items() if old in loss}, "losses": losses}
