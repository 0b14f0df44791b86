"""Figures of anchors: those of one cell per level, and what training asks of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from maskrcnn_jax.config import AnchorConfig
from maskrcnn_jax.inspect.data.training_anchors import AnchorAnswers, Pyramid, nearest
from maskrcnn_jax.inspect.panels import LEVELS, Ink, class_colors, connect, draw_boxes, fade, legend, panels, show
from maskrcnn_jax.ops.matching import Assignment
from maskrcnn_jax.structs import Array, GroundTruth

POSITIVE, OTHERS = 30, 100
"""Anchors that are drawn, at most."""


def anchor_figure(picture: Array, pyramid: Pyramid, config: AnchorConfig) -> Figure:
    """The anchors of every level's centre cell: a colour per level, dark to bright in the order of the ratios.

    Args:
        picture: `[H, W, 3]` the padded network input, RGB in [0, 255].
        pyramid: of this padded size.
        config: of the anchors.
    """
    figure, [axes] = panels(1, 1, picture.shape)
    show(axes, fade(picture))
    ratios = len(config.aspect_ratios)
    starts = np.cumsum([0, *pyramid.counts])
    drawn = []
    for level, (height, width) in enumerate(pyramid.cells):
        first = starts[level] + ratios * (height // 2 * width + width // 2)
        boxes = pyramid.anchors[first : first + ratios]
        color = np.array(LEVELS[level])
        shades = [tuple((color * shade).tolist()) for shade in np.linspace(0.45, 1, ratios)]
        draw_boxes(axes, boxes, shades)
        drawn.append(boxes)
    corners = np.concatenate([*drawn, [[0, 0, picture.shape[1], picture.shape[0]]]])
    axes.set_xlim(corners[:, 0].min() - 4, corners[:, 2].max() + 4)
    axes.set_ylim(corners[:, 3].max() + 4, corners[:, 1].min() - 4)
    levels = enumerate(config.sizes)
    legend(figure, {f"P{level + 2}: {size:g} pixels": Ink(LEVELS[level]) for level, size in levels})
    return figure


def positive_anchor_figure(
    picture: Array, pyramid: Pyramid, answers: AnchorAnswers, truth: GroundTruth, class_names: Sequence[str]
) -> Figure:
    """Sampled positive anchors, dashed, and where their targets lead, full: onto the box of an object.

    Args:
        picture: `[H, W, 3]` the padded network input, RGB in [0, 255].
        pyramid: of this padded size.
        answers: for this picture.
        truth: of the same picture.
        class_names: one per label.
    """
    figure, [axes] = panels(1, 1, picture.shape)
    positive = answers.which(Assignment.POSITIVE, sampled=True)
    drawn = positive[:POSITIVE]
    show(axes, fade(picture), f"{len(drawn)} of {len(positive)} sampled positive anchors: dashed, and moved: full")
    if not len(drawn):
        return figure
    anchors, refined = pyramid.anchors[drawn], answers.refined[drawn]
    chosen = class_colors(truth.labels[truth.valid].tolist())
    colors = [chosen[label] for label in truth.labels[nearest(refined, truth)[0]].tolist()]
    draw_boxes(axes, anchors, colors, "--", 1.0)
    draw_boxes(axes, refined, colors, width=2.2)
    connect(axes, anchors, refined, colors)
    legend(figure, {class_names[label]: Ink(color) for label, color in chosen.items()})
    return figure


def other_anchor_figure(picture: Array, pyramid: Pyramid, answers: AnchorAnswers, rng: np.random.Generator) -> Figure:
    """Sampled negative anchors, and ignored ones, in the colours of their levels.

    Args:
        picture: `[H, W, 3]` the padded network input, RGB in [0, 255].
        pyramid: of this padded size.
        answers: for this picture.
        rng: chooses what is drawn; consumed.
    """
    figure, axes = panels(2, 2, picture.shape)
    levels = pyramid.levels()
    negative = answers.which(Assignment.NEGATIVE, sampled=True)
    ignored = answers.which(Assignment.IGNORE, sampled=False)
    kinds = ((negative, "sampled negative"), (ignored, "ignored"))
    for panel, (which, name) in zip(axes, kinds, strict=True):
        drawn = rng.permutation(which)[:OTHERS]
        show(panel, fade(picture), f"{len(drawn)} of {len(which)} {name} anchors")
        draw_boxes(panel, pyramid.anchors[drawn], [LEVELS[level] for level in levels[drawn]], width=1.0)
    legend(figure, {f"P{level + 2}": Ink(LEVELS[level]) for level in range(len(pyramid.cells))})
    return figure
