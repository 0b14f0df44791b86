"""Figures of what training asks of sampled rois: where they should move, and their masks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from maskrcnn_jax.draw.literal_figure import LiteralFigure
from maskrcnn_jax.inspect.data.training_rois import RoiAnswers, RoiCount
from maskrcnn_jax.inspect.panels import COLORS, Ink, class_colors, connect, draw_boxes, fade, legend, panels, show, tint
from maskrcnn_jax.masks.paste import paste_mask
from maskrcnn_jax.structs import Array

DRAWN = 8
"""Foreground rois of a figure, and as many of background, at most."""
ROI, REFINED = COLORS[5], COLORS[2]
BACKGROUND = (0.35, 0.35, 0.35)
LIGHT = 190
"""Gray of what a mask covers: not lost on a white page."""


def roi_figure(picture: Array, answers: RoiAnswers, class_names: Sequence[str]) -> Figure:
    """Sampled rois: foreground dashed in the colour of its class, refined full, with its mask; background gray.

    Args:
        picture: `[H, W, 3]` the padded network input, RGB in [0, 255].
        answers: for this picture.
        class_names: one per label.
    """
    figure, [axes] = panels(1, 1, picture.shape)
    rois = answers.rois
    everyone = np.flatnonzero(answers.foreground)
    foreground = everyone[:DRAWN]
    background = np.flatnonzero(rois.valid & ~answers.foreground)
    title = f"{len(foreground)} of {len(everyone)} rois of foreground, "
    show(axes, fade(picture), title + f"{min(DRAWN, len(background))} of {len(background)} of background")
    chosen = class_colors(rois.labels[everyone].tolist())
    colors = [chosen[label] for label in rois.labels[foreground].tolist()]
    if answers.masks is not None:
        shape = picture.shape[:2]
        tint(axes, (paste_mask(answers.masks[n], rois.boxes[n], *shape) for n in foreground), colors)
    draw_boxes(axes, rois.boxes[background[:DRAWN]], [BACKGROUND], "--", 1.0)
    draw_boxes(axes, rois.boxes[foreground], colors, "--", 1.0)
    draw_boxes(axes, answers.refined[foreground], colors, width=2.2)
    connect(axes, rois.boxes[foreground], answers.refined[foreground], colors)
    names = {class_names[label]: Ink(color) for label, color in chosen.items()}
    legend(figure, names | ({"background": Ink(BACKGROUND, "--")} if len(background) else {}))
    return figure


def mask_target_figure(picture: Array, answers: RoiAnswers, class_names: Sequence[str]) -> Figure:
    """Foreground rois, dashed, with their refined boxes, full, each beside its mask target.

    Args:
        picture: `[H, W, 3]` the padded network input, RGB in [0, 255].
        answers: for this picture, with masks and at least one foreground roi.
        class_names: one per label.
    """
    assert answers.masks is not None, "answers of a network without mask head"
    drawn = np.flatnonzero(answers.foreground)[:DRAWN]
    figure, axes = panels(2 * len(drawn), 8, (1, 1))
    for place, n in enumerate(drawn):
        left, right = axes[2 * place : 2 * place + 2]
        pair = np.stack([answers.rois.boxes[n], answers.refined[n]])
        show(left, picture)
        draw_boxes(left, pair[:1], [ROI], "--")
        draw_boxes(left, pair[1:], [REFINED])
        _look_at(left, pair)
        show(right, LIGHT * answers.masks[n], class_names[answers.rois.labels[n]])
    legend(figure, {"roi": Ink(ROI, "--"), "refined": Ink(REFINED)})
    return figure


def share_figure(counts: Sequence[RoiCount], wanted: float) -> Figure:
    """The share of foreground among the sampled rois of every picture, and how it goes with the number of objects.

    Args:
        counts: of the pictures, at least one.
        wanted: the greatest share, `MatchConfig.foreground_fraction`.
    """
    figure = LiteralFigure(figsize=(9, 3.4))
    figure.set_layout_engine("constrained", w_pad=0.12)
    left, right = figure.subplots(1, 2)
    shares = np.array([count.foreground / max(count.rois, 1) for count in counts])
    left.stairs(*np.histogram(shares, np.linspace(0, max(wanted, shares.max()) + 1e-6, 21)), fill=True, color=COLORS[4])
    left.axvline(shares.mean(), color="black", label=f"mean {shares.mean():.1%}")
    left.axvline(wanted, color=COLORS[5], linestyle="--", label=f"at most {wanted:.0%}")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False)
    left.set(xlabel="share of foreground", ylabel="pictures")
    left.xaxis.set_major_formatter(PercentFormatter(1))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.plot([count.objects for count in counts], 100 * shares, "o", color=COLORS[4], alpha=0.5, markersize=5)
    right.set(xlabel="objects in the picture, without crowds", ylabel="share of foreground, %")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_ylim(0)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure


def _look_at(axes: Axes, boxes: np.ndarray) -> None:
    """Shows the square around boxes, with a margin."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    (x, y), half = (low + high) / 2, 0.6 * float((high - low).max())
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)
