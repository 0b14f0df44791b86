"""Steps on the mask head: its masks, and the masks pasted into the image."""

import cv2
import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrcnn_jax.draw.detections import class_name
from maskrcnn_jax.inspect.colors import Color, label_colors
from maskrcnn_jax.inspect.model.box_head_steps import scored_names
from maskrcnn_jax.inspect.model.inspected import InputView, InspectedImage
from maskrcnn_jax.inspect.step import Step
from maskrcnn_jax.inspect.tiles import Tile, heat, tile_figure

EDGE = 0.1
"""Of a box's sides: the margin that is shown around it."""


def masks(seen: InspectedImage, count: int = 8) -> Step | None:
    """The masks of the `count` best detections; None without masks."""
    view, found = seen.view, seen.found
    if found.masks is None or not len(found.boxes):
        return None
    predicted = np.asarray(seen.trace.detections.masks)[0, np.asarray(seen.trace.detections.valid[0])]
    colors = label_colors(found.labels)
    texts = scored_names(seen.names, found.labels, found.scores)
    grid: tuple[list[Tile], ...] = ([], [], [])
    for index, square in enumerate(predicted[:count]):
        x0, y0, x1, y1 = surroundings(view, found.boxes[index])
        region, inside = view.image[y0:y1, x0:x1], found.masks[index, y0:y1, x0:x1]
        size = "{} × {}".format(*square.shape)
        grid[0].append(Tile(region, texts[index]))
        grid[1].append(Tile(heat(square, 0.0, 1.0), f"{size}: {square.min():.2f} … {square.max():.2f}"))
        grid[2].append(Tile(cut_out(region, inside, colors[index]), f"{inside.sum():,} pixels"))
    return Step(
        "Masks",
        "For each detection the mask head predicts a square of probabilities over its box, from 0 (dark) to 1 "
        "(yellow), for boxes of any shape. Pasted into the image they are thresholded at one half.",
        [tile_figure(grid)],
    )


def class_masks(seen: InspectedImage, count: int = 8, classes: int = 6) -> Step | None:
    """The masks of at most `classes` classes for the `count` best detections; None without masks or with one class."""
    trace, names = seen.trace, seen.names
    if trace.mask_logits is None or trace.mask_rois is None or trace.mask_logits.shape[-1] < 2:
        return None
    shown = np.flatnonzero(trace.mask_rois.valid[0])[:count]
    if not len(shown):
        return None
    own = np.asarray(trace.mask_rois.labels[0])[shown].tolist()
    total = trace.mask_logits.shape[-1]
    labels = sorted(list(dict.fromkeys([*own, *range(total)]))[:classes])
    grid = []
    for label in labels:
        scores = np.asarray(jax.nn.sigmoid(trace.mask_logits[0, shown, :, :, label]))
        captions = ["its class" if label == mine else "" for mine in own]
        grid.append([Tile(heat(one, 0.0, 1.0), text) for one, text in zip(scores, captions, strict=True)])
    return Step(
        "Masks of other classes",
        "The mask head predicts a mask for every class of a box; the class that the box head chose decides which is "
        "taken.",
        [tile_figure(grid, [class_name(names, label) for label in labels])],
    )


def surroundings(view: InputView, box: Float[np.ndarray, "4"]) -> tuple[int, int, int, int]:
    """The part of the view around a box, (x0, y0, x1, y1) in whole pixels, at least one of them."""
    height, width = view.image.shape[:2]
    edge = np.tile((box[2:] - box[:2]) * EDGE + 2, 2) * (-1, -1, 1, 1)
    x0, y0, x1, y1 = np.rint(box + edge).astype(int).tolist()
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)


def cut_out(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], color: Color
) -> UInt8[np.ndarray, "h w 3"]:
    """An image, light and gray outside the mask, with the mask's outline in a colour."""
    gray = 255 - (255 - cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)) // 3
    drawn = np.where(mask[..., None], image, gray[..., None])
    outline = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    drawn[outline] = np.rint(255 * np.array(color))
    return drawn
