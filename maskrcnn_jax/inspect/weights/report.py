"""The report on the weights of a network: every tensor, what is wrong with it, and how two checkpoints differ."""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.inspect.document import Table
from maskrcnn_jax.inspect.page import Step, write_page
from maskrcnn_jax.inspect.weights.change import Comparison, change_table, compare, part_table
from maskrcnn_jax.inspect.weights.features import EXPLODED, exploded, feature_means
from maskrcnn_jax.inspect.weights.figures import change_figures, histogram_figures, layer_figures
from maskrcnn_jax.inspect.weights.rows import WeightRow, weight_rows, weight_table
from maskrcnn_jax.inspect.weights.source import WeightSource, read_source, with_same_names

log = logging.getLogger(__name__)


class WeightReport(NamedTuple):
    """A written report on weights."""

    page: Path
    rows: list[WeightRow]
    comparison: Comparison | None
    """None if there was nothing to compare with."""


def inspect_weights(
    source: Path | str,
    out: Path | str,
    against: Path | str | None = None,
    *,
    step: int | None = None,
    against_step: int | None = None,
) -> WeightReport:
    """Writes a page on the weights in a run folder or a file of any system.

    Args:
        source: a run folder, or a file of weights.
        out: the folder of the page; see `write_page`.
        against: what the source is compared with: its earlier state.
        step: the checkpoint of a run folder; the latest by default.
        against_step: the same of `against`, or of the source itself where `against` is None.

    Raises:
        CheckpointError, ConfigError or WeightFileError: a source cannot be read.
        ValueError: a step of what is no run folder, or `out` holds other files.
    """
    weights = read_source(source, step)
    other = None
    if against is not None or against_step is not None:
        other = read_source(source if against is None else against, against_step)
        weights, other = with_same_names(weights, other)
    rows = weight_rows(weights.arrays)
    comparison = compare(other.arrays, weights.arrays) if other else None
    page = write_page(out, f"Weights of {source}", _steps(weights, rows, other, comparison))
    return WeightReport(page, rows, comparison)


def _steps(
    weights: WeightSource, rows: list[WeightRow], other: WeightSource | None, comparison: Comparison | None
) -> Iterator[Step]:
    learned = [row for row in rows if row.kind.role not in ("mean", "variance", "other")]
    yield Step(
        "Where they come from",
        weights.about,
        facts={
            "Source": weights.name,
            "Tensors": len(rows),
            "Numbers": f"{sum(row.numbers.size for row in rows):,}",
            "of them in kernels, biases and norms": f"{sum(row.numbers.size for row in learned):,}",
        },
        tables=[] if weights.config is None else [config_table(weights.config)],
    )
    flagged = [row for row in rows if row.flags]
    means = feature_means(weights)
    seen, features = _features(means)
    if large := exploded(means):
        log.warning(
            "%s: the features of %s on an image of noise explode; the page says why", weights.name, ", ".join(large)
        )
    yield Step(
        "Flags",
        "What should be looked at: values that are not finite, arrays whose values are all equal, output channels that "
        "are nearly 0, values above 1000 (of variances, whose unit is the square, above a million), and arrays that "
        "are far larger or smaller than most of their kind. Biases of 0 and norms that scale by 1 are as they should "
        "be." + ("" if flagged else " Nothing was found.") + (seen if means else ""),
        facts={"Flagged tensors": f"{len(flagged)} of {len(rows)}"},
        tables=([weight_table(flagged)] if flagged else []) + ([features] if means else []),
    )
    yield Step(
        "Layer by layer",
        "Every kernel from the stem down to the heads: its norm, its size regardless of its width, and how many of its "
        "values are exactly 0. Crosses are flagged.",
        layer_figures(rows),
    )
    yield Step(
        "Every tensor",
        "The norm is the root of the sum of squares; what is not finite is left out of all numbers.",
        tables=[weight_table(rows, "Every tensor")],
    )
    for role, what in (("kernel", "kernels"), ("bias", "biases")):
        if any(row.kind.role == role for row in rows):
            yield Step(
                f"Histograms of {what}",
                f"All values of each of the {what} in 50 bins from the least to the greatest; orange is flagged.",
                histogram_figures(weights.arrays, rows, role),
            )
    if other and comparison:
        yield from _comparison_steps(other, comparison)


def _features(means: Mapping[str, float]) -> tuple[str, Table]:
    """What is to be seen of the features of noise: a sentence, and the table."""
    large = exploded(means)
    text = " The last table is the mean magnitude of the features of each level for one small image of noise."
    if large:
        text += (
            f" Those of {', '.join(large)} are above {EXPLODED:,.0f} or not finite: the weights are damaged, or they "
            "were trained with other conventions. Look at backbone.norm_eps (0 for torchvision's published v1 "
            "detectors), input.mean, input.std and input.bgr in the configuration above."
        )
    rows = [(level, mean, "exploded" if level in large else "") for level, mean in means.items()]
    marked = {place for place, row in enumerate(rows) if row[2]}
    return text, Table(("level", "mean magnitude", "flags"), rows, "Features of noise", marked)


def _comparison_steps(other: WeightSource, comparison: Comparison) -> Iterator[Step]:
    same = sum(change.difference == 0 for change in comparison.changes)
    only = [("only before", name) for name in comparison.missing] + [("only after", name) for name in comparison.added]
    differing = only + [("other shape", text) for text in comparison.reshaped]
    tables = [part_table(comparison.changes)] if comparison.changes else []
    yield Step(
        "What changed",
        f"Before is {other.name}, after is the source of this page. {other.about} The relative change is the norm of "
        "the difference as a share of the norm before.",
        facts={
            "In both": len(comparison.changes),
            "unchanged": same,
            "only before": len(comparison.missing),
            "only after": len(comparison.added),
            "of another shape": len(comparison.reshaped),
        },
        tables=[*tables, *([Table(("", "tensor"), differing, "Tensors that cannot be compared")] if differing else [])],
    )
    if comparison.changes:
        moved = any(change.difference for change in comparison.changes if len(change.shape) > 1)
        yield Step(
            "Change by layer",
            "Every kernel from the stem down to the heads: how far it moved and by how much it turned; without a point "
            "it did not change, or its values are not finite."
            if moved
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
