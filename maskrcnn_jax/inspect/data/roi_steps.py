"""Steps on the training of the heads: sampled RoIs, their targets and masks, and the share of foreground."""

import contextlib
from collections.abc import Sequence
from itertools import chain, islice

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from maskrcnn_jax.data import train_batches
from maskrcnn_jax.inspect.charts import BLUE, ORANGE, charts, count_in_whole_numbers
from maskrcnn_jax.inspect.colors import COLORS, Ink, class_colors
from maskrcnn_jax.inspect.data.anchor_steps import largest
from maskrcnn_jax.inspect.data.inspected import InspectedData
from maskrcnn_jax.inspect.data.roi_targets import NEAR, RANDOM_ROIS, RoiCount, count_rois
from maskrcnn_jax.inspect.panels import draw_boxes, draw_refined, fade, legend, panel, panels, show, tint
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.table import Table
from maskrcnn_jax.inspect.tensors import trace_table
from maskrcnn_jax.masks.paste import paste_mask

BATCHES = 10
DRAWN = 8
"""Foreground RoIs of a figure, and as many of background, at most."""
ROI, REFINED = COLORS[5], COLORS[2]
BACKGROUND = (0.35, 0.35, 0.35)
LIGHT = 190
"""Gray of masks, visible on a white page."""


def rois(data: InspectedData) -> Step:
    """The RoIs that the heads are trained with, and their targets."""
    targets, match = data.roi_targets, data.config.sampling.rois
    sampled, foreground = targets.rois, targets.foreground
    matched = data.objects.boxes[sampled.matched_index[foreground]]
    own = " The objects' own boxes are proposals, too." if data.config.sampling.append_ground_truth else ""
    total = int(sampled.valid.sum())
    return Step(
        "RoIs for training",
        f"The heads are trained with boxes that are sampled from the proposals: those of the foreground overlap an "
        f"object by at least {match.foreground_iou:g}, and are at most {match.foreground_fraction:.0%} of the sample."
        f"{own} There is no network here, so {RANDOM_ROIS:,} "
        f"random boxes take the place of its proposals, {NEAR:.0%} of them around objects. RoIs are dashed; with their "
        "targets applied they are full, tinted by their mask targets.",
        [roi_figure(data)],
        facts={
            "RoIs": total,
            "foreground": int(foreground.sum()),
            "background": total - int(foreground.sum()),
            "Share of foreground": f"{foreground.sum() / max(total, 1):.1%}",
            "Different RoIs": f"{len(np.unique(sampled.boxes[sampled.valid], axis=0))} of {total}",
            "Largest distance of refined RoIs and objects": largest(np.abs(targets.refined[foreground] - matched)),
        },
        tables=[roi_class_table(data), trace_table(targets)],
    )


def mask_targets(data: InspectedData) -> Step | None:
    """The mask targets of RoIs; None without mask head."""
    targets = data.roi_targets
    masks, foreground = targets.masks, targets.foreground
    if masks is None:
        return None
    return Step(
        "Mask targets",
        f"What an object covers of each foreground RoI, on the {masks.shape[1]} × {masks.shape[1]} cells that the mask "
        "head predicts. A RoI that lies beside its object sees only a part of it.",
        [mask_target_figure(data)] if foreground.any() else (),
        facts={
            "Targets": masks[foreground].shape,
            "Mean share that objects cover": float(masks[foreground].mean()) if foreground.any() else None,
        },
    )


def batches(data: InspectedData) -> Step:
    """The share of foreground over several batches."""
    config = data.config
    reading = train_batches(data.source, config.data, data.seed, 0, centered=config.model.input.centered)
    with contextlib.closing(reading):
        first = next(reading)
        several = chain([first], islice(reading, BATCHES - 1))
        counts = list(count_rois(several, config, len(data.names), data.seed))
    shares = np.array([count.share for count in counts])
    wanted = config.sampling.rois.foreground_fraction
    return Step(
        "Foreground over batches",
        f"{BATCHES} batches as training reads them, with random boxes as before. Where the share is far below the "
        "greatest one, boxes that overlap an object enough are rare: a network's proposals have more of them. The last "
        "table has the tensors of the first batch.",
        [share_figure(counts, wanted)],
        facts={
            "Images": len(counts),
            "Mean share of foreground": f"{shares.mean():.1%}",
            "at most": f"{wanted:.1%}",
            "Images without foreground": int(np.sum(shares == 0)),
        },
        tables=[roi_count_table(counts), trace_table(first)],
    )


def roi_figure(data: InspectedData) -> Figure:
    """Sampled RoIs: foreground dashed in the colour of its class, refined full, with its mask; background gray."""
    image, targets = fade(data.sample.images), data.roi_targets
    rois = targets.rois
    every = np.flatnonzero(targets.foreground)
    foreground = every[:DRAWN]
    background = np.flatnonzero(rois.valid & ~targets.foreground)
    title = f"{len(foreground)} of {len(every)} foreground RoIs, "
    figure, axes = panel(image, title + f"{min(DRAWN, len(background))} of {len(background)} background RoIs")
    chosen = class_colors(rois.labels[every].tolist())
    colors = [chosen[label] for label in rois.labels[foreground].tolist()]
    if targets.masks is not None:
        tint(axes, (paste_mask(targets.masks[n], rois.boxes[n], *image.shape) for n in foreground), colors)
    draw_boxes(axes, rois.boxes[background[:DRAWN]], BACKGROUND, "--", 1.0)
    draw_refined(axes, rois.boxes[foreground], targets.refined[foreground], colors)
    names = {data.names[label]: Ink(color) for label, color in chosen.items()}
    legend(figure, names | ({"background": Ink(BACKGROUND, "--")} if len(background) else {}))
    return figure


def mask_target_figure(data: InspectedData) -> Figure:
    """Foreground RoIs, at least one, dashed, with their refined boxes, full, each beside its mask target."""
    targets = data.roi_targets
    assert targets.masks is not None, "the network has no mask head"
    drawn = np.flatnonzero(targets.foreground)[:DRAWN]
    figure, axes = panels(2 * len(drawn), 8, (1, 1))
    for index, n in enumerate(drawn):
        left, right = axes[2 * index : 2 * index + 2]
        pair = np.stack([targets.rois.boxes[n], targets.refined[n]])
        show(left, data.sample.images)
        draw_boxes(left, pair, [ROI, REFINED], ["--", "-"])
        _zoom(left, pair)
        show(right, LIGHT * targets.masks[n], data.names[targets.rois.labels[n]])
    legend(figure, {"RoI": Ink(ROI, "--"), "refined": Ink(REFINED)})
    return figure


def share_figure(counts: Sequence[RoiCount], wanted: float) -> Figure:
    """The share of foreground among the sampled RoIs of every image, and how it depends on the number of objects.

    The greatest share, `wanted`, is `MatchConfig.foreground_fraction`.
    """
    figure, (left, right) = charts((9, 3.4), 1, 2, w_pad=0.12)
    shares = np.array([count.share for count in counts])
    left.stairs(*np.histogram(shares, np.linspace(0, max(wanted, shares.max()) + 1e-6, 21)), fill=True, color=BLUE)
    left.axvline(shares.mean(), color="black", label=f"mean {shares.mean():.1%}")
    left.axvline(wanted, color=ORANGE, linestyle="--", label=f"at most {wanted:.0%}")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False)
    left.set(xlabel="share of foreground", ylabel="images")
    left.xaxis.set_major_formatter(PercentFormatter(1))
    right.plot([count.objects for count in counts], 100 * shares, "o", color=BLUE, alpha=0.5, markersize=5)
    right.set(xlabel="objects in the image, without crowds", ylabel="share of foreground, %")
    right.set_ylim(0)
    count_in_whole_numbers(left.yaxis, right.xaxis)
    return figure


def roi_class_table(data: InspectedData) -> Table:
    """Sampled RoIs by class, background last."""
    rois, names = data.roi_targets.rois, (*data.names, "background")
    labels, counts = np.unique(rois.labels[rois.valid], return_counts=True)
    entries = [(names[label], int(count)) for label, count in zip(labels, counts, strict=True)]
    return Table(("class", "sampled RoIs"), entries, "Sampled RoIs by class")


def roi_count_table(counts: Sequence[RoiCount]) -> Table:
    """The foreground of each batch."""
    entries = []
    for step in sorted({count.step for count in counts}):
        mine = [count for count in counts if count.step == step]
        objects, rois, foreground = (sum(column) for column in list(zip(*mine, strict=True))[2:])
        entries.append((step, len(mine), objects, rois, foreground, f"{foreground / max(rois, 1):.1%}"))
    return Table(("batch", "images", "objects", "sampled RoIs", "foreground", "share"), entries, "Foreground by batch")


def _zoom(axes: Axes, boxes: np.ndarray) -> None:
    """Shows the square around boxes, with a margin."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    (x, y), half = (low + high) / 2, 0.6 * float((high - low).max())
    axes.set(xlim=(x - half, x + half), ylim=(y + half, y - half))
