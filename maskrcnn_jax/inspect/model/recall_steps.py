"""Recall of an image's objects by the boxes of each stage, from anchors to proposals."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from maskrcnn_jax.inspect.charts import INK, charts
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.ops.boxes import iou
from maskrcnn_jax.structs import Array, Trace

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's."""
POSITIVE = 0.7
"""Overlap from which on a box is positive for an object (Faster R-CNN, section 3.1.2)."""


def recall(seen: InspectedImage) -> Step | None:
    """Recall of the objects by the boxes of each stage; None without objects."""
    objects, annotated = seen.objects, seen.annotated
    if objects is None or annotated is None or objects.is_crowd.all():
        return None
    overlaps = stage_overlaps(seen.trace, objects.boxes[~objects.is_crowd])
    return Step(
        "Recall by stage",
        "The share of objects that a box of the stage overlaps. An object that no proposal overlaps cannot be found by "
        "a later step. Marked objects have no proposal that overlaps by one half.",
        [recall_figure(overlaps)],
        tables=[recall_table(overlaps), object_recall_table(overlaps, annotated.object_names)],
    )


def stage_boxes(trace: Trace) -> dict[str, np.ndarray]:
    """The boxes of each stage, `[n, 4]` pixels of the network input, for the first image of a trace; no padding."""
    candidates, proposals = trace.candidates, trace.proposals
    valid, keep = candidates.valid[0], candidates.keep[0]
    return {
        "anchors": np.asarray(trace.anchors),
        "candidates: refined and clipped": np.asarray(candidates.boxes[0])[valid],
        "kept by suppression": np.asarray(candidates.boxes[0])[keep],
        "proposals": np.asarray(proposals.boxes[0])[proposals.valid[0]],
    }


def stage_overlaps(trace: Trace, objects: Float[np.ndarray, "g 4"]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By stage: each object's best IoU with a box of it, and each box's best IoU with an object; 0 if there is none.

    Boxes of objects, without crowds, are in pixels of the network input, as are those of the trace of one image.
    """
    overlaps = {}
    for name, boxes in stage_boxes(trace).items():
        # The network's own IoU: all boxes are in coordinates of its input.
        shared = np.asarray(iou(jnp.asarray(objects), jnp.asarray(boxes)))
        overlaps[name] = shared.max(axis=1, initial=0.0), shared.max(axis=0, initial=0.0)
    return overlaps


def recall_at(overlaps: Array, thresholds: Sequence[float] | Array) -> Float[np.ndarray, " t"]:
    """The share of objects whose best overlap reaches each threshold; NaN without objects."""
    if not len(overlaps):
        return np.full(len(thresholds), np.nan)
    return np.mean(np.asarray(overlaps)[:, None] >= np.asarray(thresholds)[None], axis=0)


def recall_table(overlaps: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Table:
    """Boxes and recall of each stage; see `stage_overlaps`."""
    entries = []
    for name, (of_objects, of_boxes) in overlaps.items():
        half, most = recall_at(of_objects, (0.5, POSITIVE)).tolist()
        average = float(recall_at(of_objects, THRESHOLDS).mean())
        entries.append((name, len(of_boxes), int((of_boxes >= POSITIVE).sum()), half, most, average))
    columns = ("stage", "boxes", f"at {POSITIVE} on an object", "recall at 0.5", f"at {POSITIVE}", "at 0.5 … 0.95")
    return Table(columns, entries, "Recall by stage")


def object_recall_table(overlaps: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str]) -> Table:
    """The best overlap of every object with a box of each stage; an entry shows the stage that lost the object."""
    best = zip(*(of_objects.tolist() for of_objects, _ in overlaps.values()), strict=True)
    entries = [(name, *values) for name, values in zip(names, best, strict=True)]
    missed = [index for index, entry in enumerate(entries) if entry[-1] < 0.5]
    return Table(("object", *overlaps), entries, "Best overlap of each object with a box of the stage", missed)


def recall_figure(overlaps: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Recall of every stage over the least overlap."""
    figure, [axes] = charts((7.5, 4))
    asked = np.linspace(0.3, 1, 141)
    looks = (("-", INK[0]), ("--", INK[1]), ("-.", INK[4]), (":", INK[5]))
    for (style, color), (name, (of_objects, of_boxes)) in zip(looks, overlaps.items(), strict=True):
        label = f"{name} ({len(of_boxes):,})"
        axes.plot(asked, recall_at(of_objects, asked), style, color=color, label=label, linewidth=2)
    axes.axvline(POSITIVE, color="0.8", linewidth=1, zorder=0)
    axes.set(xlabel="IoU with the object, at least", ylabel="share of objects found", xlim=(0.3, 1), ylim=(-0.02, 1.04))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    return figure
