"""The steps on the weights of a network in the order of the page: functions of an `InspectedWeights`."""

import dataclasses
import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.weights.change import change_table, part_table
from maskrcnn_jax.inspect.weights.features import EXPLODED, exploded, feature_means
from maskrcnn_jax.inspect.weights.figures import change_figures, histogram_figures, layer_figures
from maskrcnn_jax.inspect.weights.inspected import InspectedWeights
from maskrcnn_jax.inspect.weights.layer_kinds import Role
from maskrcnn_jax.inspect.weights.tensor_stats import stats_table

log = logging.getLogger(__name__)


def origin(weights: InspectedWeights) -> Step:
    """The origin of the weights, and the configuration of their network."""
    source, tensors = weights.source, weights.tensors
    trainable = [one for one in tensors if one.kind.role not in ("mean", "variance", "other")]
    return Step(
        "Where they come from",
        source.about,
        facts={
            "Source": source.name,
            "Tensors": len(tensors),
            "Numbers": f"{sum(one.numbers.size for one in tensors):,}",
            "of them in kernels, biases and norms": f"{sum(one.numbers.size for one in trainable):,}",
        },
        tables=[] if source.config is None else [config_table(source.config)],
    )


def flags(weights: InspectedWeights) -> Step:
    """Flags of tensors, and of the features that they compute."""
    flagged = [one for one in weights.tensors if one.flags]
    means = feature_means(weights.source)
    large = exploded(means)
    text = (
        "Values that are not finite: go back to an earlier checkpoint. Dead: arrays whose values are all equal; biases "
        "of 0 and norms that scale by 1 have their initial values. Dead channels: output channels that are nearly 0 "
        "cost time without effect. Overflow: values above 1000; of variances, whose unit is the square, above a "
        "million. Negative variances. Unusual: far larger or smaller than most arrays of the kind."
    )
    text += "" if flagged else " Nothing was found."
    if means:
        text += " The last table is the mean magnitude of the features of each level for one small image of noise."
    if large:
        text += (
            f" Those of {', '.join(large)} are above {EXPLODED:,.0f} or not finite: the weights are damaged, or they "
            "were trained with other conventions. Check backbone.norm_eps (0 for torchvision's published v1 "
            "detectors), input.mean, input.std and input.bgr in the configuration above."
        )
        message = "%s: the features of %s on an image of noise explode; the report says why"
        log.warning(message, weights.source.name, ", ".join(large))
    entries = [(level, mean, "exploded" if level in large else "") for level, mean in means.items()]
    marked = {index for index, entry in enumerate(entries) if entry[2]}
    features = Table(("level", "mean magnitude", "flags"), entries, "Features of noise", marked)
    return Step(
        "Flags",
        text,
        facts={"Flagged tensors": f"{len(flagged)} of {len(weights.tensors)}"},
        tables=[table for table in (stats_table(flagged), features) if table.entries],
    )


def layers(weights: InspectedWeights) -> Step:
    """Every kernel from the stem to the heads."""
    return Step(
        "Layer by layer",
        "Every kernel from the stem at the top down to the heads. The norm is the root of the sum of squares. The root "
        "mean square · √fan-in says by how much a layer of any width scales its input: a layer with as many output "
        "as input channels starts at 1.4 in the backbone (He et al. 2015), those of the pyramid start at 1, and "
        "output layers far lower. Zeros are values of exactly 0. Crosses are flagged.",
        layer_figures(weights.tensors),
    )


def tensors(weights: InspectedWeights) -> Step:
    """Statistics of every tensor."""
    return Step(
        "Every tensor",
        "The norm is the root of the sum of squares; values that are not finite are left out of all numbers.",
        tables=[stats_table(weights.tensors, "Every tensor")],
    )


def kernel_histograms(weights: InspectedWeights) -> Step | None:
    """Histograms of all kernels."""
    hint = (
        "Kernels start as bells and get heavier tails where they were trained. A spike at 0 beside a broad base means "
        "that part of the layer is unused."
    )
    return _histograms(weights, "kernels", hint, "kernel")


def bias_histograms(weights: InspectedWeights) -> Step | None:
    """Histograms of the biases of layers without norm."""
    hint = "Layers that are followed by a norm have none; the bias of the norm takes their place."
    return _histograms(weights, "biases", hint, "bias")


def norm_histograms(weights: InspectedWeights) -> Step | None:
    """Histograms of the biases and scales of norms."""
    return _histograms(weights, "norms", "Biases start at 0, scales at 1.", "norm bias", "norm scale")


def _histograms(weights: InspectedWeights, names: str, hint: str, *roles: Role) -> Step | None:
    """None without arrays of the roles."""
    if not any(one.kind.role in roles for one in weights.tensors):
        return None
    return Step(
        f"Histograms of {names}",
        f"All values of each of the {names} in 50 bins from the least to the greatest; orange is flagged. {hint}",
        chain.from_iterable(histogram_figures(weights.source.arrays, weights.tensors, role) for role in roles),
    )


def change(weights: InspectedWeights) -> Step | None:
    """The differences from the weights before, part by part; None if there are none to compare with."""
    before, comparison = weights.before, weights.comparison
    if before is None or comparison is None:
        return None
    groups = {"only before": comparison.missing, "only after": comparison.added, "other shape": comparison.reshaped}
    differing = [(group, name) for group, names in groups.items() for name in names]
    tables = (part_table(comparison.changes), Table(("", "tensor"), differing, "Tensors that cannot be compared"))
    return Step(
        "What changed",
        f"Before is {before.name}, after is {weights.source.name}. {before.about} The relative change is the norm of "
        "the difference as a share of the norm before. Layers that did not change were frozen, or no gradient reached "
        "them. After fine-tuning, heads that changed much and a backbone that changed little are usual.",
        facts={
            "In both": len(comparison.changes),
            "unchanged": sum(one.difference == 0 for one in comparison.changes),
            "only before": len(comparison.missing),
            "only after": len(comparison.added),
            "of another shape": len(comparison.reshaped),
        },
        tables=[table for table in tables if table.entries],
    )


def layer_change(weights: InspectedWeights) -> Step | None:
    """The differences from the weights before, kernel by kernel; None if there are none to compare with."""
    comparison = weights.comparison
    if comparison is None or not comparison.changes:
        return None
    changed = any(one.difference for one in comparison.changes if len(one.shape) > 1)
    return Step(
        "Change by layer",
        "Every kernel from the stem down to the heads: its relative change and the angle by which it turned. Two "
        "random directions in a space of many dimensions are nearly at 90°: a kernel that turned by 90° has "
        "nothing in common with its initial value. A kernel without a point did not change, or its values are not "
        "finite."
        if changed
        else "No kernel changed.",
        change_figures(comparison.changes),
        tables=[change_table(comparison.changes)],
    )


def config_table(config: Any) -> Table:
    """Every field of a configuration by dotted name."""
    return Table(("field", "value"), list(_fields(config, "")), "Configuration")


def _fields(config: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{name}.")
        else:
            yield name, repr(value)


STEPS = (
    *(origin, flags, layers, tensors),
    *(kernel_histograms, bias_histograms, norm_histograms),
    *(change, layer_change),
)
"""A step that does not apply is None."""
