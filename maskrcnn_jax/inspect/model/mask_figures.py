"""Figures of masks: as the mask head gives them, 28 × 28, and pasted into the picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.draw.detections import class_name
from maskrcnn_jax.inspect.model.head_figures import by_label, scored_names
from maskrcnn_jax.inspect.model.subject import View, full, in_view
from maskrcnn_jax.inspect.panels import Color
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure
from maskrcnn_jax.structs import Trace

EDGE = 0.1
"""Of a box's sides: how much is seen around it."""


def mask_figure(trace: Trace, view: View, config: ModelConfig, count: int = 8) -> Figure:
    """The best detections: their box, what the mask head says of it for their class, and what becomes of it.

    The mask head answers with probabilities on a square, from 0 (dark) to 1 (yellow), whatever the box's shape. Pasted
    into the picture they are cut at one half. The boxes are seen with a little of what is around them.

    Args:
        trace: of one picture, by a network with mask head.
        view: of the same picture.
        config: of the network.
        count: detections.
    """
    found = in_view(trace, view, config)
    if not len(found.boxes):
        return tile_figure([[Tile(view.image, "nothing was found")]])
    assert trace.detections.masks is not None and found.masks is not None, "the network has no mask head"
    masks = np.asarray(trace.detections.masks[0])[np.asarray(trace.detections.valid[0])]
    colors = by_label(found.labels)
    texts = scored_names(config.class_names, found.labels, found.scores)
    rows: tuple[list[Tile], ...] = ([], [], [])
    for place in range(min(count, len(found.boxes))):
        window = surroundings(view, found.boxes[place])
        x0, y0, x1, y1 = window
        pasted = full(found.masks[place], view.image.shape[:2])
        seen, inside = view.image[y0:y1, x0:x1], pasted[y0:y1, x0:x1]
        side = masks.shape[1]
        rows[0].append(Tile(seen, texts[place]))
        rows[1].append(Tile(heat(masks[place], 0.0, 1.0), f"{side} × {side}: {_span(masks[place])}"))
        rows[2].append(Tile(cut_out(seen, inside, colors[place]), f"{inside.sum():,} pixels"))
    return tile_figure(rows)


def class_mask_figure(trace: Trace, names: Sequence[str], count: int = 8, classes: int = 6) -> Figure:
    """What the mask head says for several classes of the same box: the class is the box head's to choose.

    Args:
        trace: of one picture, by a network with mask head.
        names: one per class.
        count: detections, the best.
        classes: rows: those that the detections have, then others.
    """
    assert trace.mask_logits is not None and trace.mask_rois is not None, "the network has no mask head"
    shown = np.flatnonzero(trace.mask_rois.valid[0])[:count]
    if not len(shown):
        return tile_figure([[Tile(heat(np.zeros((1, 4))), "nothing was found")]])
    own = np.asarray(trace.mask_rois.labels[0])[shown].tolist()
    total = trace.mask_logits.shape[-1]
    labels = sorted(list(dict.fromkeys([*own, *range(total)]))[:classes])
    rows = []
    for label in labels:
        scores = np.exp(-np.logaddexp(0.0, -np.asarray(trace.mask_logits[0, shown, :, :, label])))  # the sigmoid
        captions = ["its class" if label == mine else "" for mine in own]
        rows.append([Tile(heat(one, 0.0, 1.0), text) for one, text in zip(scores, captions, strict=True)])
    return tile_figure(rows, [class_name(names, label) for label in labels])


def surroundings(view: View, box: Float[np.ndarray, "4"]) -> tuple[int, int, int, int]:
    """The part of the view around a box, (x0, y0, x1, y1) in whole pixels, at least one of them."""
    height, width = view.image.shape[:2]
    edge = np.tile((box[2:] - box[:2]) * EDGE + 2, 2) * (-1, -1, 1, 1)
    x0, y0, x1, y1 = np.rint(box + edge).astype(int).tolist()
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)


def cut_out(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], color: Color
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture, pale and gray where the mask is not set, and with its outline in a colour."""
    gray = 255 - (255 - cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)) // 3
    drawn = np.where(mask[..., None], picture, gray[..., None])
    outline = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    drawn[outline] = np.rint(255 * np.array(color))
    return drawn


def _span(values: Float[np.ndarray, "m m"]) -> str:
    return f"{values.min():.2f} … {values.max():.2f}"
